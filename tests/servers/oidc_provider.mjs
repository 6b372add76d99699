// A certified OpenID provider on loopback, with people of our own. Usage: node oidc_provider.mjs PORT REDIRECT
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const people = {
  li: { sub: 'li', email: 'li@acme.example', email_verified: true, groups: ['money', 'it'] },
  eve: { sub: 'eve', email: 'li@acme.example', email_verified: true, groups: ['money'] },
  mo: { sub: 'mo', email: 'mo@acme.example', email_verified: false, groups: [] },
};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { client_id: 'pratique', client_secret: 'a secret of the tests', redirect_uris: [redirect] },
    { client_id: 'ide', token_endpoint_auth_method: 'none', redirect_uris: [redirect] },
    {
      client_id: 'robot',
      client_secret: 'a secret of the robot',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
    },
  ],
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'tools',
        audience: resource,
        accessTokenTTL: 300,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  scopes: ['openid', 'email', 'groups'],
  pkce: { required: () => true },
  cookies: { keys: ['of the tests'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => people[id] }),
});
provider.on('server_error', (_, error) => console.error(error));
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
