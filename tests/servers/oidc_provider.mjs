// A certified OpenID provider on loopback, with people of our own. Usage: node oidc_provider.mjs PORT REDIRECT
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const people = {
  li: { sub: 'li', email: 'li@acme.example', email_verified: true, groups: ['money', 'it'] },
  eve: { sub: 'eve', email: 'li@acme.example', email_verified: true, groups: ['money'] },
  mo: { sub: 'mo', email: 'mo@acme.example', email_verified: false, groups: [] },
};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'pratique', client_secret: 'a secret of the tests', redirect_uris: [redirect] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  scopes: ['openid', 'email', 'groups'],
  pkce: { required: () => true },
  cookies: { keys: ['of the tests'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => people[id] }),
});
provider.on('server_error', (_, error) => console.error(error));
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
