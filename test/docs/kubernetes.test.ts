/**
 * docs/deploy/kubernetes was applied to no cluster. Every object is held against the API's schema, the configs are read by the real loader
 * with the files the pods would see, and the objects against each other.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { check } from '../../src/check.ts';
import { type Config, parseConfig } from '../../src/config.ts';
import { engineDefaults } from '../../src/engine-parts.ts';
import { loadRules } from '../../src/rules.ts';
import { root } from '../support/build.ts';
import { kubernetesJudge } from '../support/published-schema.ts';
import { tempDir } from '../support/temp-dir.ts';

const folder = join(root, 'docs', 'deploy', 'kubernetes');
const read = (path: string) => readFileSync(join(folder, path), 'utf8');

const generator = z.object({ name: z.string(), files: z.array(z.string()) });
const kustomization = z.object({
  apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
  kind: z.literal('Kustomization'),
  namespace: z.string().optional(),
  resources: z.array(z.string()),
  configMapGenerator: z.array(generator).default([]),
  images: z.array(z.object({ name: z.string(), newName: z.string(), newTag: z.string() })).default([]),
});

const meta = z.object({ name: z.string(), namespace: z.string().optional(), labels: z.record(z.string(), z.string()).default({}) });
const object = z.looseObject({ apiVersion: z.string(), kind: z.string(), metadata: meta });
type KubernetesObject = z.infer<typeof object>;

/** What `kustomize build` would read, below one of its folders; a generated ConfigMap without the hash in its name. */
function objectsOf(place: string): { objects: KubernetesObject[]; files: string[] } {
  const { resources, configMapGenerator } = kustomization.parse(parse(read(join(place, 'kustomization.yaml'))));
  const objects: KubernetesObject[] = [];
  const files = [join(place, 'kustomization.yaml')];
  for (const resource of resources) {
    const path = join(place, resource);
    if (!path.endsWith('.yaml')) {
      const below = objectsOf(path);
      objects.push(...below.objects);
      files.push(...below.files);
      continue;
    }
    files.push(path);
    objects.push(...parseAllDocuments(read(path)).map((document) => object.parse(document.toJS())));
  }
  for (const { name, files: sources } of configMapGenerator) {
    const pairs = sources
      .map((source) => source.split('='))
      .map((words) => [words[0].split('/').pop() ?? '', join(place, words[words.length - 1])]);
    const data = Object.fromEntries(pairs.map(([key, path]) => [key, read(path)]));
    files.push(...pairs.map(([, path]) => path));
    objects.push({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: {} }, data });
  }
  return { objects, files };
}

const { objects, files } = objectsOf('.');
const ofKind = (kind: string) => objects.filter((each) => each.kind === kind);
const named = (kind: string, name: string) => {
  const found = ofKind(kind).find(({ metadata }) => metadata.name === name);
  if (found === undefined) throw new Error(`expected a ${kind} "${name}", found ${ofKind(kind).map(({ metadata }) => metadata.name)}`);
  return found;
};

const selector = z.object({ matchLabels: z.record(z.string(), z.string()) });
const probe = z.object({
  httpGet: z.object({ path: z.string(), port: z.string() }),
  periodSeconds: z.number(),
  failureThreshold: z.number().default(3),
});
const container = z.object({
  image: z.string(),
  args: z.array(z.string()),
  env: z.array(z.object({ name: z.string(), value: z.string() })),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })),
  securityContext: z.unknown(),
  resources: z.object({ limits: z.object({ memory: z.string() }), requests: z.object({ memory: z.string(), cpu: z.string() }) }),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().default(false) })),
});
const volume = z.object({
  name: z.string(),
  configMap: z.object({ name: z.string() }).optional(),
  secret: z.object({ secretName: z.string(), items: z.array(z.object({ key: z.string(), path: z.string() })) }).optional(),
  persistentVolumeClaim: z.object({ claimName: z.string() }).optional(),
  emptyDir: z.object({ sizeLimit: z.string() }).optional(),
});
const deployment = z.object({
  metadata: meta,
  spec: z.object({
    replicas: z.number(),
    strategy: z.object({ type: z.string() }),
    selector,
    template: z.object({
      metadata: z.object({ labels: z.record(z.string(), z.string()) }),
      spec: z.object({
        serviceAccountName: z.string(),
        automountServiceAccountToken: z.boolean(),
        terminationGracePeriodSeconds: z.number(),
        securityContext: z.unknown(),
        containers: z.tuple([container]),
        volumes: z.array(volume),
      }),
    }),
  }),
});
const engine = deployment.parse(named('Deployment', 'streamgauge'));
const drains = deployment.parse(named('Deployment', 'streamgauge-drains'));
const pods = [engine, drains].map(({ metadata, spec }) => [metadata.name, spec.template.spec] as const);

describe('the objects', () => {
  const judge = kubernetesJudge();

  test.each(objects.map((each) => [`${each.kind} ${each.metadata.name}`, each] as const))('%s is as Kubernetes 1.37 has it', (_, each) => {
    expect(judge(each)).toEqual([]);
  });

  test('a mistake in one would be seen', () => {
    const [first] = structuredClone(ofKind('Deployment')) as unknown as {
      spec: { template: { spec: { containers: Record<string, object>[] } } };
    }[];
    const [one] = first.spec.template.spec.containers;
    Object.assign(one.securityContext, { readonlyRootFilesystem: true });
    Object.assign(one.livenessProbe, { periodSeconds: '10s' });
    expect(judge(first).join('\n')).toMatch(/containers\/0\/securityContext.*readonlyRootFilesystem/);
    expect(judge(first).join('\n')).toMatch(/containers\/0\/livenessProbe\/periodSeconds: must be integer/);
  });

  test('every file of the folder is part of them, or the test of a rule that is', () => {
    const all = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const paths = all.map(({ parentPath, name }) => relative(folder, join(parentPath, name))).filter((path) => !path.endsWith('.md'));
    expect(paths.filter((path) => !path.endsWith('.jsonl')).sort()).toEqual([...files].sort());
    for (const path of paths.filter((each) => each.endsWith('.jsonl'))) expect(files).toContain(join(dirname(path), 'rule.yaml'));
  });

  test('no object holds a secret, and none is in another namespace', () => {
    expect(ofKind('Secret')).toEqual([]);
    for (const { metadata } of objects) expect(metadata.namespace).toBeUndefined();
    const { namespace } = kustomization.parse(parse(read('kustomization.yaml')));
    expect(named('Namespace', namespace ?? '').metadata.labels['pod-security.kubernetes.io/enforce']).toBe('restricted');
  });

  test('selectors find the pods they are for, and only those', () => {
    const selects = (labels: Record<string, string>, { spec }: typeof engine) =>
      Object.entries(labels).every(([name, value]) => spec.template.metadata.labels[name] === value);
    for (const each of [engine, drains]) expect(selects(each.spec.selector.matchLabels, each)).toBe(true);
    const service = z.object({
      spec: z.object({ selector: z.record(z.string(), z.string()), ports: z.array(z.object({ targetPort: z.string() })) }),
    });
    const budget = z.object({ spec: z.object({ selector, minAvailable: z.number().optional(), maxUnavailable: z.number().optional() }) });
    for (const [each, other] of [[engine, drains] as const, [drains, engine] as const]) {
      const { spec } = service.parse(named('Service', each.metadata.name));
      expect([selects(spec.selector, each), selects(spec.selector, other)]).toEqual([true, false]);
      expect(spec.ports.map(({ targetPort }) => targetPort)).toEqual(each.spec.template.spec.containers[0].ports.map(({ name }) => name));
      const {
        minAvailable = 0,
        maxUnavailable = each.spec.replicas,
        ...rest
      } = budget.parse(named('PodDisruptionBudget', each.metadata.name)).spec;
      expect([selects(rest.selector.matchLabels, each), selects(rest.selector.matchLabels, other)]).toEqual([true, false]);
      // A budget that never lets a pod go keeps nodes from being drained.
      expect(Math.min(each.spec.replicas - minAvailable, maxUnavailable)).toBeGreaterThan(0);
    }
  });
});

describe('the pods', () => {
  test.each(pods)('%s asks for no right it does not need', (_, spec) => {
    expect(spec.automountServiceAccountToken).toBe(false);
    expect(named('ServiceAccount', spec.serviceAccountName)).toMatchObject({ automountServiceAccountToken: false });
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 1000,
      fsGroup: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(spec.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    // The user of the image, which owns the folder the volume is mounted at.
    expect(readFileSync(join(root, 'Dockerfile'), 'utf8')).toContain('USER 1000:1000');
  });

  test.each(pods)('%s is given time to stop, and is not ended for an outage of somebody else', (_, spec) => {
    const [{ livenessProbe, startupProbe, ports }] = spec.containers;
    expect(spec.terminationGracePeriodSeconds * 1000).toBeGreaterThan(engineDefaults.shutdownMs + 30_000);
    for (const each of [livenessProbe, startupProbe]) expect(each.httpGet).toEqual({ path: '/live', port: ports[0].name });
    expect(livenessProbe.periodSeconds * livenessProbe.failureThreshold).toBeGreaterThanOrEqual(30);
  });

  test('the engine is never there twice; drains are, and stay reachable while the broker is away', () => {
    expect(engine.spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
    expect(named('PersistentVolumeClaim', 'streamgauge-state').spec).toMatchObject({ accessModes: ['ReadWriteOncePod'] });
    expect(engine.spec.template.spec.containers[0].readinessProbe.httpGet.path).toBe('/healthz');
    expect(drains.spec.replicas).toBeGreaterThan(1);
    expect(drains.spec.template.spec.containers[0].readinessProbe.httpGet.path).toBe('/live');
  });

  test.each(pods)('%s mounts what is there', (_, { volumes, containers }) => {
    const [{ volumeMounts, image }] = containers;
    expect(volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.map(({ name }) => name).sort());
    for (const { name, configMap, persistentVolumeClaim, secret } of volumes) {
      if (configMap !== undefined) named('ConfigMap', configMap.name);
      if (persistentVolumeClaim !== undefined) named('PersistentVolumeClaim', persistentVolumeClaim.claimName);
      const writable = configMap === undefined && secret === undefined;
      expect(volumeMounts.find((mount) => mount.name === name)?.readOnly, name).toBe(!writable);
    }
    expect(kustomization.parse(parse(read('kustomization.yaml'))).images.map(({ name }) => name)).toContain(image);
  });
});

describe.each(pods)('the config of %s', (name, spec) => {
  const [{ args, volumeMounts, resources, env, ports }] = spec.containers;

  /** A folder with what the container would see: ConfigMaps and Secrets as the kubelet lays them out, files behind links behind a link. */
  async function mounted(): Promise<{ config: Config; at: (path: string) => string }> {
    const place = await tempDir();
    const at = (path: string) => join(place, path);
    for (const { name: mount, mountPath } of volumeMounts) {
      const { configMap, secret } = spec.volumes.find((each) => each.name === mount) ?? {};
      const data = configMap && (named('ConfigMap', configMap.name).data as Record<string, string>);
      const items = data ?? Object.fromEntries((secret?.items ?? []).map(({ path }) => [path, `user:${path}-of-a-secret`]));
      mkdirSync(at(join(mountPath, '..2026_11_21')), { recursive: true });
      symlinkSync('..2026_11_21', at(join(mountPath, '..data')));
      for (const [key, text] of Object.entries(items)) {
        writeFileSync(at(join(mountPath, '..data', key)), text);
        symlinkSync(join('..data', key), at(join(mountPath, key)));
      }
    }
    const file = args[args.indexOf('-c') + 1];
    // As if the container's root were that folder.
    const text = readFileSync(at(file), 'utf8').replaceAll(/(?<=[ :])\/(?=run\/|rules\b|data\b)/g, `${place}/`);
    return { config: parseConfig(text, at(file), {}), at };
  }

  test('is read as the pod would, with its rules, its secrets and its folder', async () => {
    const { config, at } = await mounted();
    expect(args[0]).toBe('run');
    const ids = (await loadRules(config.rules, config.overrides)).map(({ id }) => id);
    expect(ids).toContain('http_path_scan');
    if (name === 'streamgauge') {
      expect(ids).toContain('wordpress_probe');
      expect(config.hashKey).toBeDefined();
    }
    const writable = volumeMounts.filter(({ readOnly }) => !readOnly).map(({ mountPath }) => at(mountPath));
    expect(writable).toEqual([config.state.dir]);
    if (config.deadLetter.kind === 'file') expect(config.deadLetter.path.startsWith(writable[0])).toBe(true);
    for (const file of config.secretFiles) expect(existsSync(file), file).toBe(true);
    expect(config.http).toMatchObject({ host: '0.0.0.0', port: ports[0].containerPort });
  });

  test('asks for no more memory than the container may take', async () => {
    const { config } = await mounted();
    const heap = /--max-old-space-size=(\d+)/.exec(env.find((each) => each.name === 'NODE_OPTIONS')?.value ?? '')?.[1];
    // State twice, because a checkpoint is a copy of it.
    expect(mebibytes(resources.limits.memory)).toBeGreaterThan(Number(heap) + (2 * config.memoryBytes) / 2 ** 20 + 64);
  });

  test('reaches what the network policies let it reach', async () => {
    const { config } = await mounted();
    const wanted = addressesOf(config);
    expect(wanted.length).toBeGreaterThan(0);
    const labels = spec === engine.spec.template.spec ? engine.spec.template.metadata.labels : drains.spec.template.metadata.labels;
    for (const address of new Set(wanted)) expect(mayReach(labels, address), address).toBe(true);
    expect(mayReach(labels, 'elsewhere.internet:443')).toBe(false);
  });
});

test('what the README says of state in a topic is a config', () => {
  const said = /`(state: \{ dir: \/data, kafka: [^`]+ \})`/.exec(readFileSync(join(folder, '..', 'README.md'), 'utf8'))?.[1] ?? '';
  const text = read('engine/config/streamgauge.yaml').replaceAll(/"\$\{file:[^}]+\}"/g, 'a-secret-of-16-letters');
  expect(text).toContain('state: { dir: /data }');
  const { state } = parseConfig(text.replace('state: { dir: /data }', said), join(folder, 'streamgauge.yaml'), {});
  expect(state).toMatchObject({ dir: '/data', kafka: { topic: 'streamgauge.state', group: 'streamgauge' } });
});

test('the rule that the ConfigMap carries passes its own test', async () => {
  let said = '';
  const out = new Writable({
    write(chunk, _, done) {
      said += String(chunk);
      done();
    },
  });
  expect(await check([join(folder, 'engine', 'rules')], out), said).toBe(0);
  expect(said).toContain('ok   wordpress_probe');
});

test('every drain is a path of the Ingress, which leads to their Service', () => {
  const { sources } = z
    .object({ sources: z.array(z.object({ drain: z.object({ path: z.string() }) })) })
    .parse(parse(read('drains/config/streamgauge.yaml')));
  const backend = z.object({ service: z.object({ name: z.string(), port: z.object({ name: z.string() }) }) });
  const paths = z.array(z.object({ path: z.string(), pathType: z.enum(['Prefix', 'Exact']), backend }));
  const { spec } = z
    .object({ spec: z.object({ tls: z.array(z.unknown()).min(1), rules: z.tuple([z.object({ http: z.object({ paths }) })]) }) })
    .parse(named('Ingress', 'streamgauge-drains'));
  const routed = spec.rules[0].http.paths;
  for (const { drain } of sources) {
    const fits = routed.filter(({ path, pathType }) => (pathType === 'Exact' ? drain.path === path : drain.path.startsWith(path)));
    expect(fits.length, drain.path).toBe(1);
  }
  for (const { service } of routed.map((each) => each.backend)) {
    expect(named('Service', service.name).spec).toMatchObject({ ports: [{ name: service.port.name }] });
  }
});

/** Where it reads from and writes to, as it is written there. */
function addressesOf({ sources, sinks }: Config): string[] {
  return [...sources, ...sinks].flatMap((end) => {
    if (end.kind === 'kafka') return end.brokers;
    if (end.kind === 'drain') return end.to === 'engine' ? [] : end.to.brokers;
    return end.kind === 'loki' ? [new URL(end.url).host] : [];
  });
}

/** `service.namespace:port`, by the policies' egress. */
function mayReach(labels: Record<string, string>, address: string): boolean {
  const policy = z.object({
    spec: z.object({
      podSelector: z.object({ matchLabels: z.record(z.string(), z.string()).default({}) }),
      egress: z
        .array(z.object({ to: z.array(z.object({ namespaceSelector: selector })), ports: z.array(z.object({ port: z.number() })) }))
        .default([]),
    }),
  });
  const [host, port] = address.split(':');
  return ofKind('NetworkPolicy').some((each) => {
    const { podSelector, egress } = policy.parse(each).spec;
    if (!Object.entries(podSelector.matchLabels).every(([label, value]) => labels[label] === value)) return false;
    return egress.some(
      ({ to, ports }) =>
        to.some(({ namespaceSelector }) => namespaceSelector.matchLabels['kubernetes.io/metadata.name'] === host.split('.')[1]) &&
        ports.some((one) => one.port === Number(port)),
    );
  });
}

function mebibytes(quantity: string): number {
  const [, number, unit] = /^(\d+)([GM]i)$/.exec(quantity) ?? [];
  if (number === undefined) throw new Error(`not a quantity of memory this test reads: ${quantity}`);
  return Number(number) * (unit === 'Gi' ? 1024 : 1);
}
