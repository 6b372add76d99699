"""Records in the formats of others. Pure: a record in, one value out; redaction was done before."""
