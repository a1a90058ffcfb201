import { rankOf } from './token.ts';

/**
 * A HyperLogLog over a sliding window (Chabchoub & Hebrail, "Sliding HyperLogLog", 2010, with time in panes): for every register the
 * frontier of (pane, rank), that is those that no entry of a later or the same pane beats with a greater or the same rank. The registers
 * of any window that ends at the newest pane follow from it. What it holds is a function of the set of (pane, register, rank) put in, so
 * order cannot show. Entries per register come to min(0.65 + 0.5 log2(n / m), 0.83 + 0.5 log2(panes)).
 *
 * It is only changed when a pane closes, all registers in one pass, so it is a flat array: newest pane, number of entries, first pane not yet forgotten, then the entries
 * in order of register, newest first: register (p bits), pane modulo 2^(26 - p), rank (6 bits).
 */
export type Frontier = Uint32Array;

const head = 3;
const rankBits = 6;

/** Widest window, in panes, that an entry's pane bits can tell apart. */
export function maxPanes(precision: number): number {
  return 2 ** (32 - rankBits - precision);
}

let scratch = new Uint32Array(4096);
let sortKeys = new Float64Array(1024);

/**
 * Folds one pane into a frontier and forgets the panes before `firstPane`.
 * @param registers the pane's greatest rank per register, 0 for none; all of its memory
 * @returns the frontier, in its old memory if it fits there
 */
export function foldPane(frontier: Frontier, registers: Uint8Array, pane: number, firstPane: number, precision: number): Frontier {
  const newest = frontier[0];
  const mask = maxPanes(precision) - 1;
  const shift = 32 - precision;
  const end = head + frontier[1];
  if (scratch.length < head + frontier[1] + registers.length) scratch = new Uint32Array(2 * (head + frontier[1] + registers.length));
  const fours = foursOf(registers);
  const out = scratch;
  let to = head;
  let at = head;
  for (let four = 0; four < fours.length; four++) {
    // A pane has something for few of the registers.
    if (fours[four] === 0) continue;
    for (let register = 4 * four; register < 4 * four + 4; register++) {
      let own = registers[register];
      if (own === 0) continue;
      const prefix = (register << shift) >>> 0;
      for (; at < end && frontier[at] < prefix; at++) {
        out[to] = frontier[at];
        to += newest - ((newest - (frontier[at] >>> rankBits)) & mask) >= firstPane ? 1 : 0;
      }
      const owned = (prefix | ((pane & mask) << rankBits)) >>> 0;
      let best = 0;
      for (; at < end && frontier[at] >>> shift === register; at++) {
        const entry = frontier[at];
        const entryPane = newest - ((newest - (entry >>> rankBits)) & mask);
        if (entryPane < firstPane) continue;
        const rank = entry & 63;
        if (own > 0 && entryPane <= pane) {
          if (entryPane === pane && rank > own) own = rank;
          if (own > best) {
            out[to++] = owned | own;
            best = own;
          }
          own = 0;
        }
        if (rank > best) {
          out[to++] = entry;
          best = rank;
        }
      }
      if (own > best) out[to++] = owned | own;
    }
  }
  for (; at < end; at++) {
    out[to] = frontier[at];
    to += newest - ((newest - (frontier[at] >>> rankBits)) & mask) >= firstPane ? 1 : 0;
  }
  return store(frontier, Math.max(newest, pane), Math.max(frontier[2], firstPane), to);
}

let foursFor: Uint8Array | undefined;
let fours: Uint32Array = new Uint32Array(0);

/** The same memory, four registers a word. */
function foursOf(registers: Uint8Array): Uint32Array {
  if (registers !== foursFor) {
    foursFor = registers;
    fours = new Uint32Array(registers.buffer, registers.byteOffset, registers.length / 4);
  }
  return fours;
}

/**
 * Counts the registers of each rank over panes firstPane..lastPane, straight from the entries: the last one of a register that is among them
 * has the greatest rank. Returns whether there was any.
 * @param counts gets them; 66 long at least
 */
export function countRanks(frontier: Frontier, firstPane: number, lastPane: number, precision: number, counts: Uint32Array): boolean {
  const mask = maxPanes(precision) - 1;
  const shift = 32 - precision;
  const newest = frontier[0];
  const end = head + frontier[1];
  counts.fill(0);
  let register = -1;
  let rank = 0;
  let occupied = 0;
  for (let at = head; at < end; at++) {
    const entry = frontier[at];
    const pane = newest - ((newest - (entry >>> rankBits)) & mask);
    if (pane < firstPane || pane > lastPane) continue;
    if (entry >>> shift !== register) {
      counts[rank]++;
      occupied++;
      register = entry >>> shift;
    }
    rank = entry & 63;
  }
  counts[rank]++;
  counts[0] = 2 ** precision - occupied;
  return occupied > 0;
}

/** The frontier of tokens, each with the last pane it was seen in. */
export function frontierOf(tokens: Uint32Array, panes: Uint32Array, count: number, precision: number): Frontier {
  let newest = 0;
  for (let i = 0; i < count; i++) newest = Math.max(newest, panes[i]);
  if (sortKeys.length < count) sortKeys = new Float64Array(2 * count);
  const registerMask = 2 ** precision - 1;
  const span = maxPanes(precision);
  // Register, then newest first, then greatest rank first, as one integer below 2^32.
  for (let i = 0; i < count; i++) {
    const register = tokens[i] & registerMask;
    sortKeys[i] = (register * span + (newest - panes[i])) * 64 + (63 - rankOf(tokens[i], precision));
  }
  const sorted = sortKeys.subarray(0, count).sort();
  if (scratch.length < head + count) scratch = new Uint32Array(2 * (head + count));
  let to = head;
  let register = -1;
  let best = 0;
  for (let i = 0; i < count; i++) {
    const rank = 63 - (sorted[i] % 64);
    const place = Math.floor(sorted[i] / 64);
    const ofRegister = Math.floor(place / span);
    if (ofRegister !== register) best = 0;
    register = ofRegister;
    if (rank <= best) continue;
    best = rank;
    const pane = newest - (place % span);
    scratch[to++] = (register << (32 - precision)) | ((pane & (span - 1)) << rankBits) | rank;
  }
  return store(new Uint32Array(head), newest, 0, to);
}

/** Forgets the panes before `firstPane`. */
export function expireFrontier(frontier: Frontier, firstPane: number, precision: number): Frontier {
  const mask = maxPanes(precision) - 1;
  const newest = frontier[0];
  if (firstPane <= frontier[2]) return frontier;
  if (scratch.length < frontier.length) scratch = new Uint32Array(2 * frontier.length);
  let to = head;
  for (let at = head; at < head + frontier[1]; at++) {
    if (newest - ((newest - (frontier[at] >>> rankBits)) & mask) >= firstPane) scratch[to++] = frontier[at];
  }
  return store(frontier, newest, firstPane, to);
}

/** Raises `registers` to the greatest ranks of panes firstPane..lastPane; returns whether there was any. */
export function raiseRegisters(frontier: Frontier, firstPane: number, lastPane: number, precision: number, registers: Uint8Array): boolean {
  const mask = maxPanes(precision) - 1;
  const shift = 32 - precision;
  const newest = frontier[0];
  const end = head + frontier[1];
  let any = false;
  for (let at = head; at < end; at++) {
    const entry = frontier[at];
    const pane = newest - ((newest - (entry >>> rankBits)) & mask);
    if (pane < firstPane || pane > lastPane) continue;
    any = true;
    const rank = entry & 63;
    if (rank > registers[entry >>> shift]) registers[entry >>> shift] = rank;
  }
  return any;
}

/** Newest pane of a frontier. */
export function newestPane(frontier: Frontier): number {
  return frontier[0];
}

/** Writes the first `length` words of the scratch over the frontier if it fits and fills at least half of it, else into a new one. */
function store(frontier: Frontier, newest: number, firstPane: number, length: number): Frontier {
  // An eighth of slack: most panes change the number of entries by a few.
  const kept = length <= frontier.length && 2 * length >= frontier.length ? frontier : new Uint32Array(length + (length >> 3));
  kept.set(scratch.subarray(head, length), head);
  kept[0] = newest;
  kept[1] = length - head;
  kept[2] = firstPane;
  return kept;
}
