import { looksLikeAddress } from './access-log.ts';
import type { RowWriter } from './row-writer.ts';
import { integerAt } from './text-of.ts';

/**
 * `event.name` of OpenSSH's messages, by how they begin; the first that fits counts. `ssh.auth_failed` is a try that was refused,
 * `ssh.invalid_user` the same for a user who does not exist, `ssh.negotiation_failed` no common algorithm.
 */
const beginnings: readonly (readonly [start: string, event: string])[] = [
  ['Failed password for invalid user ', 'ssh.auth_failed'],
  ['Failed ', 'ssh.auth_failed'],
  ['Invalid user ', 'ssh.invalid_user'],
  ['Illegal user ', 'ssh.invalid_user'],
  ['Accepted ', 'ssh.accepted'],
  ['Disconnected from ', 'ssh.disconnect'],
  ['Received disconnect from ', 'ssh.disconnect'],
  ['Disconnecting ', 'ssh.disconnect'],
  ['Connection closed by ', 'ssh.connection_closed'],
  ['Connection reset by ', 'ssh.connection_closed'],
  ['Connection from ', 'ssh.connection_opened'],
  ['ssh_dispatch_run_fatal: Connection from ', 'ssh.protocol_error'],
  ['Unable to negotiate with ', 'ssh.negotiation_failed'],
  ['Did not receive identification string from ', 'ssh.no_identification'],
  ['Bad protocol version identification ', 'ssh.protocol_error'],
  ['banner exchange: Connection from ', 'ssh.protocol_error'],
  ['banner exchange: ', 'ssh.protocol_error'],
  ['kex_exchange_identification: ', 'ssh.protocol_error'],
  ['maximum authentication attempts exceeded for ', 'ssh.auth_failed'],
  ['Timeout before authentication for ', 'ssh.timeout'],
  ['PAM ', 'ssh.auth_failed'],
  ['PAM: ', 'ssh.auth_failed'],
  ['pam_unix(sshd:auth): authentication failure', 'ssh.auth_failed'],
  ['User ', 'ssh.denied'],
];

/** A message of sshd: event, user, address and port. The user is the client's own word and may hold anything, so it is cut from both ends. */
export function fillSshd(text: string, row: RowWriter): void {
  row.text('message', text);
  let start = 0;
  for (const prefix of ['error: ', 'fatal: ', 'info: ']) {
    if (!text.startsWith(prefix)) continue;
    start = prefix.length;
    row.text('log.level', prefix === 'error: ' ? 'error' : prefix === 'fatal: ' ? 'fatal' : 'info');
  }
  for (const [beginning, event] of beginnings) {
    if (!text.startsWith(beginning, start)) continue;
    if (event === 'ssh.denied' && !text.includes(' not allowed because ')) return;
    row.text('event.name', event);
    fillParts(text, start, beginning, row);
    return;
  }
}

function fillParts(text: string, begin: number, beginning: string, row: RowWriter): void {
  const from = begin + beginning.length;
  const pam = text.indexOf(' rhost=', begin);
  if (beginning.startsWith('pam_unix') || (beginning.startsWith('PAM') && pam >= 0)) {
    row.text('client.address', wordAt(text, pam + 7));
    const user = text.indexOf(' user=', pam);
    if (user >= 0 && pam >= 0) row.text('user.name', wordAt(text, user + 6));
    return;
  }
  // Where the address comes first, what follows may be the client's own words; where a user comes first, what precedes is.
  const first = addressEnd(text, from);
  if (looksLikeAddress(text.slice(from, first))) {
    fillAddress(text, from, first, row);
    return;
  }
  const port = text.lastIndexOf(' port ');
  let start = port > from ? text.lastIndexOf(' ', port - 1) + 1 : -1;
  if (start < 0 || !looksLikeAddress(text.slice(start, port))) {
    const fromWord = text.lastIndexOf(' from ');
    if (fromWord < 0) return;
    start = fromWord + 6;
  }
  fillAddress(text, start, addressEnd(text, start), row);
  row.text('user.name', userOf(text, from, beginning, start));
}

function addressEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && !endsAddress(text.charCodeAt(end))) end++;
  return text.charCodeAt(end - 1) === 58 ? end - 1 : end;
}

function fillAddress(text: string, start: number, end: number, row: RowWriter): void {
  const word = text.slice(start, end);
  if (!looksLikeAddress(word)) return;
  row.text('client.address', word);
  const number = text.startsWith(' port ', end) ? integerAt(text, end + 6) : -1;
  if (number >= 0) row.number('client.port', number);
}

/** Who tried: what stands between the words that introduce a user and the address. */
function userOf(text: string, from: number, beginning: string, addressStart: number): string | undefined {
  let start = from;
  let end = addressStart;
  if (beginning === 'Failed ' || beginning === 'Accepted ' || beginning.startsWith('PAM')) {
    // `password for invalid user x from`, `publickey for x from`
    const word = text.indexOf(' for ', from - 1);
    if (word < 0 || word >= addressStart) return undefined;
    start = word + 5;
  } else if (beginning === 'User ') {
    const by = text.lastIndexOf(' from ', text.lastIndexOf(' not allowed because '));
    return by > from ? text.slice(from, by) : undefined;
  } else if (beginning.startsWith('Disconnect') || beginning.startsWith('Connection ')) {
    // `invalid user x 1.2.3.4`, `authenticating user x 1.2.3.4`, `user x 1.2.3.4`; without a user the address follows at once.
    const word = text.indexOf('user ', from);
    if (word < 0 || word > from + 16 || word >= addressStart) return undefined;
    start = word + 5;
    end = addressStart - 1;
    return start <= end ? text.slice(start, end) : undefined;
  } else if (!(beginning.includes('user ') || beginning.startsWith('maximum'))) return undefined;
  for (const kind of ['invalid user ', 'illegal user ']) if (text.startsWith(kind, start)) start += kind.length;
  end = text.lastIndexOf(' from ', end);
  return end >= start ? text.slice(start, end) : undefined;
}

function wordAt(text: string, at: number): string | undefined {
  let end = at;
  while (end < text.length && text.charCodeAt(end) > 32) end++;
  return end > at ? text.slice(at, end) : undefined;
}

function endsAddress(code: number): boolean {
  return code <= 32 || code === 44 || code === 59 || code === 41;
}
