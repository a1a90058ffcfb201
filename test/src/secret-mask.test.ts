import { expect, test } from 'vitest';
import { Secret } from '../../schemas/secret.ts';
import { SecretMask } from '../../src/secret-mask.ts';

test('no form of a secret is left in a line: as it is, its password alone, in JSON, in a URL, in a Basic header, a line of a key', () => {
  const mask = new SecretMask();
  const pem = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQ\n-----END PRIVATE KEY-----\n';
  mask.learn({
    sources: [{ credentials: [new Secret('app:he"llo w/orld')] }, { tls: { key: new Secret(pem) } }],
    hashKey: new Secret(new Uint8Array(8)),
  });
  const pair = 'app:he"llo w/orld';
  for (const line of [
    pair,
    'password he"llo w/orld!',
    JSON.stringify({ text: pair }),
    `http://x/?p=${encodeURIComponent('he"llo w/orld')}`,
    `{"headers":["authorization","Basic ${Buffer.from(pair).toString('base64')}"]}`,
    JSON.stringify({ key: pem }),
  ]) {
    const masked = mask.mask(line);
    expect(masked).toContain('[secret]');
    for (const part of ['llo w', 'llo%20w', Buffer.from(pair).toString('base64').slice(4, 12), 'MIIEvQ', 'SCBKcw'])
      expect(masked).not.toContain(part);
  }
});

test('what looks like one is hidden although nobody has named it: passwords in URLs and Authorization headers', () => {
  const mask = new SecretMask();
  expect(mask.mask('GET http://user:hunter2@loki:3100/ready failed')).toBe('GET http://user:[secret]@loki:3100/ready failed');
  expect(mask.mask('{"authorization":"Bearer abcdef.ghijkl"}')).toBe('{"authorization":"Bearer [secret]"}');
  expect(mask.mask('["Authorization: Basic dXNlcjpodW50ZXIy"]')).toBe('["Authorization: Basic [secret]"]');
});

test('all else is left as it is', () => {
  const mask = new SecretMask();
  mask.learn({ password: new Secret('app'), brokers: ['kafka:9092'], plain: 'not-a-secret' });
  for (const line of ['app not-a-secret kafka:9092', 'http://127.0.0.1:8080/healthz at 12:00:00', 'a@b.org wrote //x', 'basic needs']) {
    expect(mask.mask(line)).toBe(line);
  }
});
