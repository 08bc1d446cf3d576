import type { AheadInputs, AheadStep } from "../../../kernels/device/ahead.ts";
import { canDraw } from "../../../kernels/device/draw_nodes.ts";
import type { DeviceTensor } from "../../../kernels/device/device.ts";
import type { DrawSettings } from "../../../kernels/draw_settings.ts";
import type { RotaryRows } from "../../../kernels/rope.ts";
import type { DeviceKvCache } from "../../cache/kv_cache.ts";
import type { Drawing } from "../../sampling/drawing.ts";
import type { DrawnStep } from "../engine.ts";
import type { Sequence } from "../sequence.ts";

/** What decoding steps are run ahead with. */
export interface AheadWays {
  /** Steps at most that run behind one another, drawing so; 0 where none can. */
  most(layers: AheadInputs["layers"], settings?: DrawSettings): number;
  run(inputs: AheadInputs): Promise<readonly AheadStep[]>;
  /** Rotary tables of the token at a position. */
  rotary(sequence: Sequence, position: number): readonly RotaryRows[];
  readonly layers: number;
  /** Tokens of the model's context. */
  readonly context: number;
  /** Milliseconds. */
  readonly now: () => number;
}

/** Decoding steps that were run before somebody asked for them. */
export interface RunAhead {
  /**
   * Logits behind a token that is to be read, which the caller counts then; `undefined` where steps
   * cannot run ahead.
   */
  logits(sequence: Sequence, cache: DeviceKvCache, id: number): Promise<Float32Array | undefined>;
  /** As {@linkcode RunAhead.logits}, but what is drawn from the logits; they stay where they are. */
  drawn(
    sequence: Sequence,
    cache: DeviceKvCache,
    id: number,
    drawing: Drawing,
  ): Promise<DrawnStep | undefined>;
  /** As {@linkcode RunAhead.logits}, but only which token is likeliest. */
  likeliest(
    sequence: Sequence,
    cache: DeviceKvCache,
    id: number,
  ): Promise<DrawnStep | undefined>;
  /** Forgets what was run ahead on a cache: something else is written behind what it holds. */
  forget(cache: DeviceKvCache): void;
}

interface Ahead {
  /** Where the steps wrote, and behind how many tokens, layer by layer. */
  readonly layers: readonly { readonly keys: DeviceTensor; readonly held: number }[];
  readonly position: number;
  readonly steps: readonly AheadStep[];
  /** What they were drawn for. */
  readonly drawing: Drawing | undefined;
  used: number;
}

/** What next token is wanted of a sequence. */
interface Wanted {
  readonly sequence: Sequence;
  readonly cache: DeviceKvCache;
  /** What is read. */
  readonly id: number;
  readonly drawing?: Drawing;
}

/** Milliseconds that steps which nobody asked for yet may take together. */
const LONGEST = 40;

/**
 * Runs decoding steps before they are asked for, each with the likeliest token behind the one before: the
 * device then waits for nobody between them. What is asked for otherwise is run as ever; the entries that
 * were written ahead lie in spare slots and mean nothing. More are run the longer all are used.
 */
export function createRunAhead(ways: AheadWays): RunAhead {
  const memory = new WeakMap<DeviceKvCache, Ahead>();
  const sizes = new WeakMap<DeviceKvCache, number>();
  let stepTime = Infinity;
  const taken = ({ sequence: { position }, cache, id, drawing }: Wanted): AheadStep | undefined => {
    const ahead = memory.get(cache);
    if (!ahead) return undefined;
    const { used } = ahead;
    // Each kind of layers counts its tokens, and any may have got other buffers.
    const same = position === ahead.position + used && ahead.drawing === drawing &&
      ahead.layers.every(({ keys, held }, layer) =>
        cache.stored(layer)[0] === held + used && cache.buffers(layer).keys === keys
      );
    const step = ahead.steps[used];
    if (!same || step?.id !== id) return undefined;
    ahead.used++;
    return step;
  };
  const step = async (wanted: Wanted): Promise<AheadStep | undefined> => {
    const known = taken(wanted);
    if (known) return known;
    const { sequence, cache, id, drawing } = wanted;
    const settings = drawing && drawnBy(drawing);
    const before = memory.get(cache);
    memory.delete(cache);
    await cache.makeRoom(1);
    const layers = Array.from({ length: ways.layers }, (_, layer) => ({
      ...cache.buffers(layer),
      lengths: cache.stored(layer),
    }));
    const most = ways.most(layers, settings);
    if (most === 0) return undefined;
    const wholly = before === undefined || before.used === before.steps.length;
    const size = wholly ? 2 * (sizes.get(cache) ?? 0.5) : 1;
    const { position } = sequence;
    const spare = layers.map(({ lengths }, layer) => cache.capacity(layer) - (lengths[0] ?? 0));
    const steps = Math.max(
      1,
      Math.min(
        ...[size, most, Math.floor(LONGEST / stepTime)],
        ...[Math.min(...spare), ways.context - position],
      ),
    );
    sizes.set(cache, steps);
    const begun = ways.now();
    const found = await ways.run({
      id,
      layers,
      rotary: Array.from({ length: steps }, (_, step) => ways.rotary(sequence, position + step)),
      ...drawing && { endsAt: ({ found, certain }) => !certain || drawing.ends.has(found) },
      ...drawing && settings
        ? { draw: { settings, uniforms: drawing.uniforms(steps), seen: drawing.seen } }
        : {},
    });
    stepTime = (ways.now() - begun) / steps;
    const [first] = found;
    if (first?.id !== id) return undefined;
    const behind = layers.map(({ keys, lengths: [held = 0] }) => ({ keys, held }));
    memory.set(cache, { ...{ layers: behind, position, drawing }, steps: found, used: 1 });
    return first;
  };
  const drawn = async (wanted: Wanted & { readonly drawing: Drawing }) => {
    const found = await step(wanted);
    if (!found) return undefined;
    const { logits, certain } = found;
    if (certain) wanted.drawing.drawn();
    return { ...certain ? { id: found.found } : {}, ...logits ? { logits } : {} };
  };
  return {
    logits: async (sequence, cache, id) => (await step({ sequence, cache, id }))?.logits,
    drawn: async (sequence, cache, id, drawing) =>
      canDraw(drawing.settings) ? await drawn({ sequence, cache, id, drawing }) : undefined,
    likeliest: (sequence, cache, id) => drawn({ sequence, cache, id, drawing: LIKELIEST }),
    forget: (cache) => memory.delete(cache),
  };
}

/** Takes the likeliest token, for nobody's answer. */
const LIKELIEST: Drawing = {
  settings: { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
  seen: new Set(),
  ends: new Set(),
  uniforms: () => [],
  drawn() {},
};

/** How tokens are drawn; `undefined` where the likeliest are taken. */
function drawnBy({ settings }: Drawing): DrawSettings | undefined {
  const { temperature, repetitionPenalty } = settings;
  return temperature === 0 && repetitionPenalty === 1 ? undefined : settings;
}
