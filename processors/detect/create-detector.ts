import type { DetectorSpec } from '../rule.ts';
import type { Detector } from './detector.ts';
import { Silence } from './silence.ts';
import { Threshold } from './threshold.ts';

/** @param monotone whether the rule's measure can only rise while nothing expires. */
export function createDetector(spec: DetectorSpec, monotone: boolean): Detector {
  switch (spec.kind) {
    case 'above':
    case 'below':
      return new Threshold(spec, monotone);
    case 'silence':
      return new Silence(spec);
  }
}
