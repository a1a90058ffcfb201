/**
 * A token endpoint on 127.0.0.1 for the client credentials grant. Its tokens are JWTs without a signature, which is what Kafka's own
 * validator for tests and development takes.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface TokenEndpoint {
  readonly url: string;
  /** What it answered, in order. */
  readonly statuses: number[];
  readonly scopes: (string | null)[];
}

/** `lifeSeconds`: of a token; its `exp` and `expires_in` say the same. Stopped when the test is over. */
export async function tokenEndpoint(options: { clientId: string; clientSecret: string; lifeSeconds?: number }): Promise<TokenEndpoint> {
  const { clientId, clientSecret, lifeSeconds = 3_600 } = options;
  const statuses: number[] = [];
  const scopes: (string | null)[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      const form = new URLSearchParams(body);
      scopes.push(form.get('scope'));
      const [id, secret] = loginOf(request.headers.authorization ?? '');
      const ours = id === clientId && secret === clientSecret;
      const granted = request.method === 'POST' && form.get('grant_type') === 'client_credentials' && ours;
      const status = granted ? 200 : 401;
      statuses.push(status);
      const nowSeconds = Math.floor(Date.now() / 1000);
      const answer = granted
        ? { access_token: unsecured({ sub: clientId, iat: nowSeconds, exp: nowSeconds + lifeSeconds }), expires_in: lifeSeconds }
        : { error: 'invalid_client', error_description: `no such client with ${request.headers.authorization}` };
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth2/token`, statuses, scopes };
}

/** RFC 6749, 2.3.1: form-encoded, joined by a colon, in base64. */
function loginOf(authorization: string): (string | undefined)[] {
  const parts = Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
    .toString()
    .split(':');
  return parts.map((part) => new URLSearchParams(`text=${part}`).get('text') ?? undefined);
}

function unsecured(claims: Readonly<Record<string, unknown>>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claims)}.`;
}
