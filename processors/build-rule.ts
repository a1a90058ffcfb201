/** A rule's own stages: its measure, windows, detectors and episodes, put together. */
import { createDetector } from './detect/create-detector.ts';
import { RuleDetection, type RuleDetectionOptions } from './detect/rule-detection.ts';
import { createMeasure } from './measure/create-measure.ts';
import type { Rule } from './rule.ts';
import { KeyedWindows } from './window/keyed-windows.ts';

export interface BuiltRule {
  readonly windows: KeyedWindows;
  readonly detection: RuleDetection;
}

export function buildRule(rule: Rule, options: RuleDetectionOptions): BuiltRule {
  const measure = createMeasure(rule.measure, rule.window);
  const detectors = rule.detect.map((spec) => createDetector(spec, measure.monotone));
  const detection = new RuleDetection(rule, detectors, options);
  const judgeQuietKeys = options.score !== undefined || detectors.some((detector) => detector.watchesQuietKeys);
  return { windows: new KeyedWindows(rule.window, measure, detection, { judgeQuietKeys }), detection };
}
