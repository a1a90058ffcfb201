import { herokuEvents } from './heroku-events.ts';
import type { RowWriter } from './row-writer.ts';
import { integerAt } from './text-of.ts';
import { isoTimeAt } from './time.ts';

/**
 * Logplex's own error lines. L10 to L13 say how many messages were lost before this line. False if the text is none.
 * `Error L10 (output buffer overflow): 500 messages dropped since …`, `… dropped 1 messages since …`, `Error L12: 222 messages dropped …`
 */
export function fillLoss(text: string, row: RowWriter): boolean {
  const start = text.startsWith('Error ') ? 6 : 0;
  if (text.charCodeAt(start) !== 76 || !isDigit(text.charCodeAt(start + 1)) || !isDigit(text.charCodeAt(start + 2))) return false;
  const after = text.charCodeAt(start + 3);
  if (after !== 32 && after !== 58) return false;
  const code = text.slice(start, start + 3);
  const count = messagesLost(text);
  const loss = code >= 'L10' && code <= 'L13' && count >= 0;
  // Without `Error ` only the exact form of a loss line is taken: an application may begin a line with anything.
  if (start === 0 && !loss) return false;
  row.text('message', text);
  row.text('error.code', code);
  row.text('error.type', code);
  row.text('event.name', loss ? herokuEvents.lost : herokuEvents.logError);
  if (loss) {
    row.lost(count, lostSince(text));
    row.number('heroku.messages_lost', count);
  }
  return true;
}

/** The time after ` since `, ms; NaN where there is none. */
function lostSince(text: string): number {
  const since = text.indexOf(' since ');
  return since < 0 ? Number.NaN : isoTimeAt(text, since + 7);
}

/** The number before ` messages dropped`, ` messages lost` or ` messages since`; -1 where there is none. */
function messagesLost(text: string): number {
  const word = text.indexOf(' messages ');
  if (word < 1) return -1;
  const next = text.charAt(word + 10);
  if (next !== 'd' && next !== 'l' && next !== 's') return -1;
  let start = word;
  while (start > 0 && isDigit(text.charCodeAt(start - 1))) start--;
  return start === word ? -1 : integerAt(text, start);
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}
