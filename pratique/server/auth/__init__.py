"""Who is at the door: cookies, logins and keys, as dependencies of routes."""
