import { CentroidList, delta } from './t-digest.ts';

/** What an inner node stands for: its numbers as centroids, ascending. */
interface Node {
  readonly means: Float32Array;
  readonly weights: Uint32Array;
  /** How many numbers: another count of the node's panes says that something came since. */
  readonly total: number;
}

/** A node of fewer centroids is put together anew: its objects would weigh more than it saves. */
const leastKept = 32;
const objectBytes = 240;
const levels = 32;

/** The panes of one slot that hold something, in ascending order. A pane may be there more than once. */
export interface PaneParts {
  readonly length: number;
  pane(part: number): number;
  /** How many numbers the part stands for. */
  count(part: number): number;
  /** Appends the part's numbers or centroids, ascending, with means that are f32. */
  append(part: number, list: CentroidList): void;
}

/**
 * Digests of runs of panes, so that a window is put together from about ten of them and not from all of its panes: FlatFAT (Tangwongsan
 * et al., "General incremental sliding-window aggregation", 2015) over absolute pane numbers. Node (level, i) stands for panes
 * i 2^level … (i + 1) 2^level - 1 and is its two halves put together; a window is the few largest nodes that cover it. Absolute numbers
 * make every node, kept or not, a function of its panes: so nothing of this need be in a snapshot, windows of any length share the
 * nodes, a new pane costs one merge, and forgetting costs none.
 */
export class PaneTree {
  private readonly bySlot = new Map<number, Map<number, Node>>();
  private readonly lists = Array.from({ length: levels }, () => new CentroidList());
  private heldBytes = 0;

  /** Appends the numbers of panes firstPane..lastPane to a list, in runs that ascend. The parts are those of that range. */
  append(slot: number, parts: PaneParts, firstPane: number, lastPane: number, list: CentroidList): void {
    let part = 0;
    let pane = Math.max(0, firstPane);
    while (pane <= lastPane && part < parts.length) {
      let level = 0;
      while (level + 1 < levels && pane % 2 ** (level + 1) === 0 && pane + 2 ** (level + 1) - 1 <= lastPane) level++;
      const end = partsBefore(parts, part, pane + 2 ** level);
      this.appendNode(slot, parts, part, end, level, pane, list);
      pane += 2 ** level;
      part = end;
    }
  }

  /** What a pane holds took another form, which its count does not show. */
  changed(slot: number, pane: number): void {
    const nodes = this.bySlot.get(slot);
    if (nodes === undefined) return;
    for (let level = 1; level < levels; level++) this.drop(nodes, nodeKey(level, pane - (pane % 2 ** level)));
  }

  /** Forgets the nodes of panes before `firstPane`. */
  expire(slot: number, firstPane: number): void {
    const nodes = this.bySlot.get(slot);
    if (nodes === undefined) return;
    for (const key of nodes.keys()) if (Math.floor(key / levels) < firstPane) this.drop(nodes, key);
    if (nodes.size === 0) this.bySlot.delete(slot);
  }

  clear(): void {
    this.bySlot.clear();
    this.heldBytes = 0;
  }

  bytes(): number {
    return this.heldBytes;
  }

  /** The node of parts from..end - 1, which all lie in its panes. */
  private appendNode(slot: number, parts: PaneParts, from: number, end: number, level: number, pane: number, out: CentroidList): void {
    if (from === end) return;
    if (parts.pane(from) === parts.pane(end - 1)) {
      for (let part = from; part < end; part++) parts.append(part, out);
      return;
    }
    const key = nodeKey(level, pane);
    const kept = this.bySlot.get(slot)?.get(key);
    if (kept !== undefined && kept.total === totalOf(parts, from, end)) {
      for (let i = 0; i < kept.means.length; i++) out.push(kept.means[i], kept.weights[i]);
      return;
    }
    const list = this.lists[level];
    const half = 2 ** (level - 1);
    const middle = partsBefore(parts, from, pane + half);
    list.reset();
    this.appendNode(slot, parts, from, middle, level - 1, pane, list);
    this.appendNode(slot, parts, middle, end, level - 1, pane + half, list);
    list.sort();
    if (list.length > delta) list.compress();
    for (let i = 0; i < list.length; i++) out.push(Math.fround(list.means[i]), list.weights[i]);
    if (list.length >= leastKept) this.keep(slot, key, list);
  }

  private keep(slot: number, key: number, list: CentroidList): void {
    let nodes = this.bySlot.get(slot);
    if (nodes === undefined) {
      nodes = new Map();
      this.bySlot.set(slot, nodes);
    }
    this.drop(nodes, key);
    const means = Float32Array.from(list.means.subarray(0, list.length));
    const weights = Uint32Array.from(list.weights.subarray(0, list.length));
    nodes.set(key, { means, weights, total: list.total });
    this.heldBytes += nodeBytes(list.length);
  }

  private drop(nodes: Map<number, Node>, key: number): void {
    const node = nodes.get(key);
    if (node === undefined) return;
    this.heldBytes -= nodeBytes(node.means.length);
    nodes.delete(key);
  }
}

function nodeBytes(centroids: number): number {
  return objectBytes + 8 * centroids;
}

function nodeKey(level: number, firstPane: number): number {
  return firstPane * levels + level;
}

/** Index of the first part from `from` on that lies in `pane` or later. */
function partsBefore(parts: PaneParts, from: number, pane: number): number {
  let part = from;
  while (part < parts.length && parts.pane(part) < pane) part++;
  return part;
}

function totalOf(parts: PaneParts, from: number, end: number): number {
  let total = 0;
  for (let part = from; part < end; part++) total += parts.count(part);
  return total;
}
