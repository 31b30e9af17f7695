// An OpenID provider that we did not write (npm oidc-provider), over HTTPS: client_credentials gives an access token that
// is a JWT. node oidc_peer.mjs NODE_MODULES CERTIFICATE PUBLIC_KEY_FILE CLIENT_ID CLIENT_SECRET MAILBOX
// Prints its port. The public key is for the mail server that checks the tokens.
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';

const [modules, certificate, publicKeyFile, clientId, clientSecret, mailbox] = process.argv.slice(2);
const { default: Provider } = await import(`${modules}/oidc-provider/lib/index.js`);
const { privateKey, publicKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
fs.writeFileSync(publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }));

const server = https.createServer({ key: fs.readFileSync(`${certificate}.key`), cert: fs.readFileSync(`${certificate}.pem`) });
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`https://localhost:${port}`, {
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'default', alg: 'RS256', use: 'sig' }] },
    clients: [{
      client_id: clientId, client_secret: clientSecret, grant_types: ['client_credentials'], redirect_uris: [],
      response_types: [], token_endpoint_auth_method: 'client_secret_post',
    }],
    scopes: ['smtp'],
    extraTokenClaims: () => ({ email: mailbox }),
    // Dovecot 2.3 takes "JWT" only, not the at+jwt of RFC 9068.
    formats: { customizers: { jwt: (_ctx, _token, jwt) => { jwt.header = { ...jwt.header, typ: 'JWT' }; } } },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:mail',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'smtp', audience: 'mail', accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  server.on('request', provider.callback());
  console.log(`port ${port}`);
});
