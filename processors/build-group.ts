/** A group's own stages: its measure, windows, and each rule's detectors and episodes, put together. */
import { createDetector } from './detect/create-detector.ts';
import type { Detector } from './detect/detector.ts';
import { KeyFlood } from './detect/key-flood.ts';
import { RuleDetection, type RuleDetectionOptions } from './detect/rule-detection.ts';
import { createMeasure } from './measure/create-measure.ts';
import type { RuleGroup } from './rule-group.ts';
import type { QuietKeys } from './window/closed-window.ts';
import { KeyedWindows } from './window/keyed-windows.ts';
import type { MemoryBudget } from './window/memory-share.ts';
import type { ViewSpec } from './window/view.ts';

export interface GroupStages {
  readonly group: RuleGroup;
  readonly windows: KeyedWindows;
  /** In the order of the group's rules. */
  readonly detections: readonly RuleDetection[];
  readonly keyFlood: KeyFlood;
}

export interface GroupOptions extends RuleDetectionOptions {
  /** Of all groups. */
  readonly memory: MemoryBudget;
  /** A key had to make room for another. */
  evicted(group: RuleGroup): void;
}

export function buildGroup(group: RuleGroup, options: GroupOptions): GroupStages {
  const { measure: spec, window } = group.rules[0];
  const sizeMs = Math.max(...group.rules.map((rule) => rule.window.sizeMs));
  const measure = createMeasure(spec, { ...window, sizeMs }, group);
  const detections: RuleDetection[] = [];
  const views: ViewSpec[] = [];
  for (const rule of group.rules) {
    // A sum can rise without new matches once a negative number leaves the window, and whether there are any is only known later.
    const monotone = measure.monotone && spec.kind !== 'sum';
    const detectors = rule.detect.map((detector) => createDetector(detector, monotone));
    const judge = new RuleDetection(rule, detectors, options);
    detections.push(judge);
    views.push({
      panesPerWindow: rule.window.sizeMs / rule.window.slideMs,
      judge,
      quietKeys: options.score === undefined ? quietest(detectors) : 'all',
      early: rule.early,
    });
  }
  const keyFlood = new KeyFlood(group.rules, options.partitionName);
  const bounds = { share: options.memory.share(), judge: keyFlood, evicted: () => options.evicted(group) };
  return { group, windows: new KeyedWindows(window, measure, views, bounds), detections, keyFlood };
}

/** What the most demanding of the detectors wants. */
function quietest(detectors: readonly Detector[]): QuietKeys {
  const wanted = detectors.map(({ quietKeys }) => quietKeys);
  return wanted.includes('all') ? 'all' : wanted.includes('changed') ? 'changed' : 'none';
}
