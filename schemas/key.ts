/** `key`: whose window an event counts in. A field, a function of one, a list of up to four, or `all`. */
import { z } from 'zod';
import type { KeyPart } from '../processors/rule.ts';
import { addFault, type Fault, type Path, showValue } from './issues.ts';
import { didYouMean } from './nearest.ts';
import { fieldPattern } from './scalars.ts';

/** What each key function does: the rules reference is written from this. */
export const keyFunctions: Readonly<Record<Exclude<KeyPart['transform'], 'none'>, string>> = {
  domain: '`domain(user.email)`: what stands after the last `@`, in lower case',
  lower: '`lower(user.email)`: in lower case',
  subnet:
    '`subnet(client.address, 24)`: the network the address lies in. Up to 32 bits speak of IPv4, and IPv6 takes 32 more (24: /56, 32: /64); above 32 bits they speak of IPv6 alone and an IPv4 address stays whole',
  shape:
    '`shape(user.email)`: runs of letters and digits of the local part, `john.smith92` is `a4.a5d2`; case, `+tags` and the dots of Gmail do not count',
};
export const maxKeyParts = 4;

/** A `key`, as a schema; its parts once parsed, none for `all`. */
export const key = z
  .union([z.string(), z.array(z.string()).min(1).max(maxKeyParts)], { error: 'a field, a list of fields, or all' })
  .transform((value, context): readonly KeyPart[] => {
    if (value === 'all') return [];
    const faults: Fault[] = [];
    const texts = typeof value === 'string' ? [value] : value;
    const parts = texts.map((text, index) => parseKeyPart(text, typeof value === 'string' ? [] : [index], (fault) => faults.push(fault)));
    for (const [index, text] of texts.entries()) {
      if (texts.indexOf(text) !== index) faults.push({ path: [index], text: `expected every part once, found ${showValue(text)} again` });
    }
    for (const fault of faults) addFault(context, fault);
    return faults.length > 0 ? z.NEVER : parts.filter((part) => part !== undefined);
  });

function parseKeyPart(text: string, path: Path, report: (fault: Fault) => void): KeyPart | undefined {
  const optional = text.endsWith('?');
  const bare = optional ? text.slice(0, -1) : text;
  const call = /^\s*(\w+)\s*\(([^()]*)\)\s*$/.exec(bare);
  if (call === null) {
    if (fieldPattern.test(bare) && bare !== 'all') return { field: bare, optional, transform: 'none' };
    const what = bare === 'all' ? '`all` alone, not in a list' : 'a field, field?, or a function of one such as domain(user.email)';
    const torn = /^\w+\([^)]*$/.test(text) ? ' (in a [list] put quotes around it: a comma ends an entry)' : '';
    report({ path, text: `expected ${what}, found ${showValue(text)}${torn}` });
    return undefined;
  }
  const [, name, inside] = call;
  const names = Object.keys(keyFunctions);
  if (!names.includes(name)) {
    report({ path, text: `expected one of the functions ${names.join(', ')}, found "${name}"${didYouMean(name, names)}` });
    return undefined;
  }
  const transform = name as Exclude<KeyPart['transform'], 'none'>;
  const [field, ...rest] = inside.split(',').map((argument) => argument.trim());
  const wanted = transform === 'subnet' ? 1 : 0;
  const bits = Number(rest[0]);
  const badBits = wanted === 1 && (!/^\d{1,3}$/.test(rest[0] ?? '') || bits < 1 || bits > 128);
  if (!fieldPattern.test(field) || rest.length !== wanted || badBits) {
    report({ path, text: `expected ${wanted === 1 ? `${name}(field, bits from 1 to 128)` : `${name}(field)`}, found ${showValue(text)}` });
    return undefined;
  }
  return wanted === 1 ? { field, optional, transform, bits } : { field, optional, transform };
}
