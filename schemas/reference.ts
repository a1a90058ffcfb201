/** Markdown tables out of JSON Schemas: the reference never says what the schema does not. */

export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly pattern?: string;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
}

/** Rows for every field below a schema, nested ones with their path; `skip` names paths whose inside is told elsewhere. */
export function fieldTable(schema: JsonSchema, skip: readonly string[] = []): string {
  const rows: string[][] = [];
  addRows(schema, '', rows, skip);
  return table(['field', 'is', 'meaning'], rows);
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

function addRows(schema: JsonSchema, prefix: string, rows: string[][], skip: readonly string[]): void {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const needed = schema.required?.includes(name) === true && field.default === undefined;
    rows.push([`\`${path}\``, `${kindOf(field)}${needed ? ', **required**' : defaultOf(field)}`, field.description ?? '']);
    if (skip.includes(path)) continue;
    for (const inner of insides(field)) addRows(inner.schema, `${path}${inner.suffix}`, rows, skip);
  }
}

function defaultOf({ default: value }: JsonSchema): string {
  return ['string', 'number', 'boolean'].includes(typeof value) ? `, default \`${String(value)}\`` : '';
}

/** The maps within a field: its own, those of a list's entries, and those under names of the user's own. */
function insides(field: JsonSchema): { schema: JsonSchema; suffix: string }[] {
  const found = [];
  if (field.properties !== undefined) found.push({ schema: field, suffix: '' });
  if (field.items?.properties !== undefined) found.push({ schema: field.items, suffix: '[]' });
  if (typeof field.additionalProperties === 'object' && field.additionalProperties.properties !== undefined) {
    found.push({ schema: field.additionalProperties, suffix: '.<name>' });
  }
  // Of a map and a list of such maps the map is enough.
  const branches = (field.anyOf ?? []).flatMap(insides);
  const maps = branches.filter(({ suffix }) => suffix === '');
  found.push(...(maps.length > 0 ? maps : branches));
  return found;
}

function kindOf(field: JsonSchema): string {
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(' ');
  if (field.const !== undefined) return `\`${String(field.const)}\``;
  if (field.anyOf !== undefined) return [...new Set(field.anyOf.map(kindOf))].join(' or ');
  if (field.examples !== undefined) return `text such as \`${String(field.examples[0])}\``;
  switch (field.type) {
    case 'string':
      return 'text';
    case 'array':
      return field.items === undefined ? 'list' : `list of ${kindOf(field.items)}`;
    case 'object':
      return 'map';
    case 'integer':
      return 'whole number';
    case 'boolean':
      return '`true` `false`';
    default:
      return typeof field.type === 'string' ? field.type : 'anything';
  }
}
