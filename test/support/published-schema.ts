/** The schemas of others under `test/fixtures/schemas`, for files that nothing here can run. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { root } from './build.ts';

export type Problems = readonly string[];

/** Says what is wrong with a document: `path: what was expected`; nothing, if it is as the schema has it. */
export type Judge = (document: unknown) => Problems;

/** `docker-compose.yml`, by the compose specification. */
export function composeJudge(): Judge {
  return judgeOf(read('compose-spec'));
}

/** An object for Kubernetes, by its `apiVersion` and `kind`. Throws an Error for a kind that was not kept in the fixture. */
export function kubernetesJudge(): Judge {
  const schema = read('kubernetes');
  const kinds = new Map<string, Judge>();
  for (const [name, definition] of Object.entries(schema.$defs)) {
    for (const { group, version, kind } of definition['x-kubernetes-group-version-kind'] ?? []) {
      kinds.set(`${group === '' ? '' : `${group}/`}${version} ${kind}`, judgeOf(schema, `${schema.$id}#/$defs/${name}`));
    }
  }
  return (document) => {
    const { apiVersion, kind } = document as { apiVersion?: string; kind?: string };
    const judge = kinds.get(`${apiVersion} ${kind}`);
    if (judge === undefined) throw new Error(`test/fixtures/schemas/kubernetes.schema.json has no ${apiVersion} ${kind}`);
    return judge(document);
  };
}

interface Schema {
  readonly $id: string;
  readonly $defs: Readonly<
    Record<string, { readonly 'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[] }>
  >;
}

function read(name: string): Schema {
  return JSON.parse(readFileSync(path.join(root, 'test', 'fixtures', 'schemas', `${name}.schema.json`), 'utf8'));
}

const compilers = new Map<string, Ajv2020>();

/** Compiled when it is first asked: there are many kinds. */
function judgeOf(schema: Schema, reference = schema.$id): Judge {
  return (document) => {
    let ajv = compilers.get(schema.$id);
    if (ajv === undefined) {
      // Formats such as int32 are OpenAPI's, and unknown words are everybody's own.
      ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false, schemas: [schema] });
      compilers.set(schema.$id, ajv);
    }
    const validate = ajv.getSchema(reference);
    if (validate === undefined) throw new Error(`no schema ${reference}`);
    if (validate(document)) return [];
    return (validate.errors ?? []).map(({ instancePath, message, params }) => `${instancePath}: ${message} ${JSON.stringify(params)}`);
  };
}
