/**
 * The last line before the log, `/healthz` and findings about ourselves: whatever a message is made of, a secret of the config is not shown in it. The first line is `Secret`, which
 * prints as `[secret]`; this one is for what others make of a secret once it was handed to them: a library's error, a header, a URL.
 */
import { Secret } from '../schemas/secret.ts';

/** Shorter ones would be found in half of all words. */
const shortest = 6;
const censor = '[secret]';
/** User and password of any URL, and what comes after the name of a scheme in an Authorization header, whoever's they are. */
const shapes: readonly [RegExp, string][] = [
  [/(\/\/[^\s/:@"'\\]*:)[^\s/@"'\\]+@/g, `$1${censor}@`],
  [/\b(Basic|Bearer)( +|\\?["',: ]+)[\w+/=.~-]{8,}/gi, `$1$2${censor}`],
];

export class SecretMask {
  private secrets: readonly string[] = [];
  private readonly known = new Set<string>();

  /** Hides every `Secret` found in a value from now on. */
  learn(value: unknown): void {
    const seen = new Set<unknown>();
    const visit = (each: unknown): void => {
      if (typeof each !== 'object' || each === null || seen.has(each)) return;
      seen.add(each);
      if (each instanceof Secret) this.add(each.reveal());
      else for (const inside of Object.values(each)) visit(inside);
    };
    visit(value);
    // The longest first: one may be a part of another.
    this.secrets = [...this.known].sort((a, b) => b.length - a.length);
  }

  mask(text: string): string {
    let masked = text;
    for (const secret of this.secrets) if (masked.includes(secret)) masked = masked.replaceAll(secret, censor);
    for (const [shape, by] of shapes) masked = masked.replace(shape, by);
    return masked;
  }

  private add(secret: unknown): void {
    if (typeof secret !== 'string') return;
    // Of `user:password` the password alone too; of a PEM file each line.
    const parts = [secret, secret.slice(secret.indexOf(':') + 1), ...secret.split('\n')];
    for (const part of parts) {
      if (part.length < shortest || part.startsWith('-----')) continue;
      for (const form of [part, JSON.stringify(part).slice(1, -1), encodeURIComponent(part), Buffer.from(part).toString('base64')]) {
        this.known.add(form);
      }
    }
  }
}

/** What this process must not show. */
export const secrets = new SecretMask();
