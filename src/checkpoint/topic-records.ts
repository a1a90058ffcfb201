/**
 * How checkpoints lie in a compacted topic, all in partition 0: parts under `<group>/part/<SHA-256 in hex>`, and the last two manifests
 * under `<group>/checkpoint/0` and `/1`, in turn. A manifest is written when its parts are acknowledged, so it never comes before them.
 */
import type { KafkaMessage, Message } from 'kafkajs';
import type { Part } from './parts.ts';

/** Every record says which process wrote it. */
const writerHeader = 'writer';
const partition = 0;

export type TopicRecord =
  | { readonly kind: 'part'; readonly hash: string; readonly value: Buffer | null; readonly writer: string }
  | { readonly kind: 'manifest'; readonly slot: number; readonly value: Buffer | null; readonly writer: string };

export class TopicRecords {
  private readonly parts: string;
  private readonly manifests: string;
  private readonly headers: Record<string, string>;

  constructor(group: string, writer: string) {
    this.parts = `${group}/part/`;
    this.manifests = `${group}/checkpoint/`;
    this.headers = { [writerHeader]: writer };
  }

  part({ hash, bytes }: Part): Message {
    const { buffer, byteOffset, byteLength } = bytes;
    return { partition, key: this.parts + hex(hash), value: Buffer.from(buffer, byteOffset, byteLength), headers: this.headers };
  }

  /** A part that nobody needs any more. */
  tombstone(hash: string): Message {
    return { partition, key: this.parts + hex(hash), value: null, headers: this.headers };
  }

  manifest(number: number, value: Buffer): Message {
    return { partition, key: this.manifests + slotOf(number), value, headers: this.headers };
  }

  /** Undefined for what is not this group's. */
  read({ key, value, headers }: Pick<KafkaMessage, 'key' | 'value' | 'headers'>): TopicRecord | undefined {
    const name = key?.toString() ?? '';
    const writer = String(headers?.[writerHeader] ?? 'unknown');
    if (name.startsWith(this.parts)) {
      const digits = name.slice(this.parts.length);
      if (!/^[\da-f]{64}$/.test(digits)) return undefined;
      return { kind: 'part', hash: Buffer.from(digits, 'hex').toString('latin1'), value, writer };
    }
    const slot = name.startsWith(this.manifests) ? name.slice(this.manifests.length) : '';
    return /^[01]$/.test(slot) ? { kind: 'manifest', slot: Number(slot), value, writer } : undefined;
  }
}

/** Where the checkpoint of this number is kept: not where the one before it is. */
export function slotOf(number: number): number {
  return number % 2;
}

function hex(hash: string): string {
  return Buffer.from(hash, 'latin1').toString('hex');
}
