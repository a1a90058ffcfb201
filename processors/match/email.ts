/** What a key takes of an e-mail address: its domain, or the shape of its local part. */

const maxShapeChars = 256;

/** What stands after the last `@`, in lower case and without a dot at its end; '' without an `@`. */
export function domainOf(text: string): string {
  const at = text.lastIndexOf('@');
  if (at < 0) return '';
  const domain = text
    .slice(at + 1)
    .trim()
    .toLowerCase();
  return domain.endsWith('.') ? domain.slice(0, -1) : domain;
}

const gmail = new Set(['gmail.com', 'googlemail.com']);

/**
 * Runs of letters and digits of an e-mail address's local part as their lengths, other characters as they are: `john.smith92@x.org` is
 * `a4.a5d2`. Case and `+tags` do not count, nor do dots where the provider takes no notice of them. Text without `@` is taken whole.
 */
export function shapeOf(text: string): string {
  const at = text.lastIndexOf('@');
  let local = (at < 0 ? text : text.slice(0, at)).slice(0, maxShapeChars).normalize('NFKC').toLowerCase();
  if (at >= 0) {
    const plus = local.indexOf('+');
    if (plus > 0) local = local.slice(0, plus);
    if (gmail.has(domainOf(text))) local = local.replaceAll('.', '');
  }
  let shape = '';
  let run = 0;
  let runClass = '';
  const end = () => {
    if (run > 0) shape += `${runClass}${run}`;
    run = 0;
  };
  for (const char of local) {
    const found = classOf(char);
    if (found !== runClass) end();
    runClass = found;
    if (found === '') shape += char;
    else run++;
  }
  end();
  return shape;
}

function classOf(char: string): 'a' | 'd' | '' {
  const code = char.codePointAt(0) as number;
  if (code < 128) return code >= 97 && code <= 122 ? 'a' : code >= 48 && code <= 57 ? 'd' : '';
  return /\p{L}|\p{M}/u.test(char) ? 'a' : /\p{Nd}/u.test(char) ? 'd' : '';
}
