import { expect, test } from 'vitest';
import { decodeOne } from './decode-lines.ts';

const fields = ['event.name', 'user.name', 'client.address', 'client.port'];
const read = (message: string) => decodeOne(`Jan 24 15:32:31 server sshd[2651912]: ${message}`, fields).fields;
const event = (name: string, user?: string, address?: string, port?: number) => ({
  'event.name': name,
  ...(user === undefined ? {} : { 'user.name': user }),
  ...(address === undefined ? {} : { 'client.address': address }),
  ...(port === undefined ? {} : { 'client.port': port }),
});

test.each([
  ['Failed password for root from 1.2.3.4 port 33166 ssh2', event('ssh.auth_failed', 'root', '1.2.3.4', 33166)],
  ['Failed password for invalid user tutu from 1.2.3.4 port 33166 ssh2', event('ssh.auth_failed', 'tutu', '1.2.3.4', 33166)],
  ['Failed publickey for bob from 2001:db8::7 port 5 ssh2: RSA SHA256:abc', event('ssh.auth_failed', 'bob', '2001:db8::7', 5)],
  ['Failed none for invalid user  from 1.2.3.4 port 5 ssh2', event('ssh.auth_failed', '', '1.2.3.4', 5)],
  ['Invalid user tutu from 1.2.3.4 port 33166', event('ssh.invalid_user', 'tutu', '1.2.3.4', 33166)],
  ['Invalid user tutu from 1.2.3.4', event('ssh.invalid_user', 'tutu', '1.2.3.4')],
  ['Connection closed by invalid user bob 1.2.3.4 port 7 [preauth]', event('ssh.connection_closed', 'bob', '1.2.3.4', 7)],
  ['Connection closed by authenticating user root 1.2.3.4 port 7 [preauth]', event('ssh.connection_closed', 'root', '1.2.3.4', 7)],
  ['Connection closed by 1.2.3.4 port 7 [preauth]', event('ssh.connection_closed', undefined, '1.2.3.4', 7)],
  ['Connection reset by 1.2.3.4 port 7 [preauth]', event('ssh.connection_closed', undefined, '1.2.3.4', 7)],
  ['Accepted publickey for deploy from 1.2.3.4 port 7 ssh2: ED25519 SHA256:x', event('ssh.accepted', 'deploy', '1.2.3.4', 7)],
  ['Accepted password for deploy from 1.2.3.4 port 7 ssh2', event('ssh.accepted', 'deploy', '1.2.3.4', 7)],
  [
    'Disconnected from authenticating user root 179.43.183.98 port 59402 [preauth]',
    event('ssh.disconnect', 'root', '179.43.183.98', 59402),
  ],
  ['Disconnected from invalid user a b 1.2.3.4 port 3 [preauth]', event('ssh.disconnect', 'a b', '1.2.3.4', 3)],
  ['Disconnected from user bob 1.2.3.4 port 3', event('ssh.disconnect', 'bob', '1.2.3.4', 3)],
  ['Disconnected from 1.2.3.4 port 3', event('ssh.disconnect', undefined, '1.2.3.4', 3)],
  ['Received disconnect from 1.2.3.4 port 3:11: Bye Bye [preauth]', event('ssh.disconnect', undefined, '1.2.3.4', 3)],
  [
    'Unable to negotiate with 123.57.135.134 port 45626: no matching key exchange method found. Their offer: diffie-hellman-group14-sha1 [preauth] ',
    event('ssh.negotiation_failed', undefined, '123.57.135.134', 45626),
  ],
  ['Did not receive identification string from 1.2.3.4 port 3', event('ssh.no_identification', undefined, '1.2.3.4', 3)],
  [
    'error: maximum authentication attempts exceeded for root from 1.2.3.4 port 3 ssh2 [preauth]',
    event('ssh.auth_failed', 'root', '1.2.3.4', 3),
  ],
  [
    'error: maximum authentication attempts exceeded for invalid user x from 1.2.3.4 port 3 ssh2 [preauth]',
    event('ssh.auth_failed', 'x', '1.2.3.4', 3),
  ],
  ['error: kex_exchange_identification: Connection closed by remote host', event('ssh.protocol_error')],
  ['fatal: Timeout before authentication for 192.168.9.212 port 47056', event('ssh.timeout', undefined, '192.168.9.212', 47056)],
  [
    'ssh_dispatch_run_fatal: Connection from 192.168.9.213 port 48680: message authentication code incorrect [preauth]',
    event('ssh.protocol_error', undefined, '192.168.9.213', 48680),
  ],
  ['banner exchange: Connection from 1.2.3.4 port 3: invalid format', event('ssh.protocol_error', undefined, '1.2.3.4', 3)],
  [
    'pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=1.2.3.4  user=root',
    event('ssh.auth_failed', 'root', '1.2.3.4'),
  ],
  [
    'PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=1.2.3.4',
    event('ssh.auth_failed', undefined, '1.2.3.4'),
  ],
  ['error: PAM: Authentication failure for illegal user x from 1.2.3.4', event('ssh.auth_failed', 'x', '1.2.3.4')],
  ['User bob from 1.2.3.4 not allowed because not listed in AllowUsers', event('ssh.denied', 'bob', '1.2.3.4')],
  ['Server listening on 0.0.0.0 port 22.', {}],
])('sshd: %s', (message, expected) => {
  expect(read(message)).toEqual(expected);
});

test('words of the client do not move the address', () => {
  expect(read('Failed password for invalid user x from 6.6.6.6 port 22 ssh2 from 1.2.3.4 port 5 ssh2')).toEqual(
    event('ssh.auth_failed', 'x from 6.6.6.6 port 22 ssh2', '1.2.3.4', 5),
  );
  expect(read('Received disconnect from 1.2.3.4 port 3:11: bye from 6.6.6.6 port 9')).toEqual(
    event('ssh.disconnect', undefined, '1.2.3.4', 3),
  );
  expect(read('Invalid user y from 6.6.6.6 from 1.2.3.4')).toEqual(event('ssh.invalid_user', 'y from 6.6.6.6', '1.2.3.4'));
});
