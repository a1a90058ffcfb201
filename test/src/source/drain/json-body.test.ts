import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { splitJson, splitLines } from '../../../../src/source/drain/json-body.ts';

function pieces(body: string | Buffer, maxPieces = 1000): string[] {
  const bytes = Buffer.from(body);
  return splitJson(bytes, maxPieces).map(({ start, end }) => bytes.toString('utf8', start, end));
}

describe('a JSON body', () => {
  test.each<[string, string, string[]]>([
    ['one object', '{"a":1}', ['{"a":1}']],
    ['one object over several lines', ' {\n "a": [1, {"b": 2}]\n}\n', ['{\n "a": [1, {"b": 2}]\n}']],
    ['an array', '[{"a":1}, {"b":[2]} ,\n{"c":"]"}]\n', ['{"a":1}', '{"b":[2]}', '{"c":"]"}']],
    ['an empty array', '[]', []],
    ['an empty body', '', []],
    ['lines', '{"a":1}\n{"b":2}\r\n\n{"c":3}', ['{"a":1}', '{"b":2}', '{"c":3}']],
    ['objects without anything between', '{"a":"}{"}{"b":"\\"}{"}{"c":3}', ['{"a":"}{"}', '{"b":"\\"}{"}', '{"c":3}']],
    ['a byte order mark', '\ufeff[{"a":1}]', ['{"a":1}']],
    ['values that are no objects', '[1, "a b", null, [2,3]] true 5', ['1', '"a b"', 'null', '[2,3]', 'true', '5']],
    ['arrays one after the other', '[{"a":1}]\n[{"b":2}]', ['{"a":1}', '[{"b":2}]']],
    ['a broken line among good ones', '{"a":1}\n{"b":\n{"c":3}\n', ['{"a":1}', '{"b":', '{"c":3}']],
    ['a string that is never closed', '{"a":"x\n{"b":2}\n', ['{"a":"x', '{"b":2}']],
    ['an array that is never closed', '[{"a":1},{"b":', ['{"a":1}', '{"b":']],
    ['too many brackets', '{"a":1}}{"b":2}', ['{"a":1}', '}', '{"b":2}']],
    ['no JSON', 'hello world', ['hello', 'world']],
  ])('%s', (_, body, expected) => {
    expect(pieces(body)).toEqual(expected);
  });

  test('of lines is cut at line ends and nowhere else', () => {
    const body = Buffer.from('{"a":1}{"b":2}\n\n  \n {"c":"\n{"d":4}\r\n');
    expect(splitLines(body, 0, 100).map(({ start, end }) => body.toString('utf8', start, end))).toEqual([
      '{"a":1}{"b":2}',
      '{"c":"',
      '{"d":4}\r',
    ]);
  });

  test('gives at most so many pieces, the last with all the rest', () => {
    expect(pieces('[{"a":1},{"b":2},{"c":3},{"d":4}]', 2)).toEqual(['{"a":1}', '{"b":2},{"c":3},{"d":4}]']);
    expect(pieces('{"a":1}\n{"b":2}\n{"c":3}', 2)).toEqual(['{"a":1}', '{"b":2}\n{"c":3}']);
    expect(pieces('{"a"\n{"b":2}\n{"c":3}', 2)).toEqual(['{"a"', '{"b":2}\n{"c":3}']);
  });

  test('of any values comes back, as an array, in lines and glued', () => {
    const value = fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true });
    fc.assert(
      fc.property(fc.array(value), fc.constantFrom(undefined, 2), (values, indent) => {
        const texts = values.map((each) => JSON.stringify(each, null, indent));
        const parsed = values.map((each) => JSON.parse(JSON.stringify(each)));
        expect(pieces(JSON.stringify(values, null, indent)).map((each) => JSON.parse(each))).toEqual(parsed);
        expect(pieces(texts.join('\n')).map((each) => JSON.parse(each))).toEqual(parsed);
        expect(pieces(texts.join('')).map((each) => JSON.parse(each))).toEqual(parsed);
      }),
      { seed: 20261121, numRuns: 200 },
    );
  });

  test('of any bytes gives pieces in order, leaves out only blanks, commas and the brackets of the array, and never throws', () => {
    const piece = fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', '\n', ' ', 'a', '{"a":1}', '\u00e9');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (parts) => {
        const bytes = Buffer.from(parts.join(''));
        let at = 0;
        let left = '';
        for (const { start, end } of splitJson(bytes, 10)) {
          expect(start).toBeGreaterThanOrEqual(at);
          expect(end).toBeGreaterThan(start);
          left += bytes.toString('utf8', at, start);
          at = end;
        }
        expect(left + bytes.toString('utf8', at)).toMatch(/^\s*\[?[\s,]*\]?\s*$/);
      }),
      { seed: 20261121, numRuns: 1000 },
    );
  });
});
