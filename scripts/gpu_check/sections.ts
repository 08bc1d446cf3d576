import type { Section } from "./section.ts";
import { adapter } from "./sections/adapter.ts";
import { card } from "./sections/card.ts";
import { decode } from "./sections/decode.ts";
import { deviceTests, engineTests } from "./sections/device_tests.ts";
import { flat } from "./sections/flat.ts";
import { goldens, moreGoldens, windows } from "./sections/goldens.ts";
import { models } from "./sections/models.ts";
import { observed } from "./sections/observed.ts";
import { overflow } from "./sections/overflow.ts";
import { peer } from "./sections/peer.ts";
import { chunks, long, speed, speedF16, staircase } from "./sections/speed.ts";

/** All sections, those that tell most first. */
export const SECTIONS: readonly Section[] = [
  adapter,
  goldens,
  windows,
  models,
  speed,
  decode,
  flat,
  observed,
  overflow,
  card,
  staircase,
  speedF16,
  chunks,
  peer,
  long,
  deviceTests,
  moreGoldens,
  engineTests,
];
