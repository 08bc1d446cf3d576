import { assertEquals, assertThrows } from "@std/assert";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import { beginning, canGoBack, goBack, reachOf } from "../../../runtime/engine/go_back.ts";
import { emptySequence, holdSequence, type Sequence } from "../../../runtime/engine/sequence.ts";

const WINDOW = 5;

function windowed(): Sequence {
  const shape = { layers: 2, kvHeads: 1, headDim: 2 };
  return emptySequence(createHostCache({ ...shape, windows: [WINDOW, undefined], slack: 3 }));
}

function read(sequence: Sequence, tokens: number): void {
  const { cache } = sequence;
  for (let token = 0; token < tokens; token++) {
    const row = Float32Array.of(sequence.position, 0);
    for (let layer = 0; layer < cache.layers; layer++) {
      if (cache.home === "host") cache.append(layer, row, row, sequence.position);
    }
    sequence.position++;
  }
}

const held = ({ cache }: Sequence) => [0, 1].map((layer) => [...cache.positions(layer)]);

Deno.test("goBack() takes out what windows can give back, and more where a held point is needed", () => {
  const sequence = windowed();
  using _cache = sequence.cache;
  read(sequence, 10);
  using point = holdSequence(sequence);
  read(sequence, 90);
  assertEquals([canGoBack(sequence, 3), canGoBack(sequence, 40)], [true, false]);
  assertEquals(goBack(sequence, 3, [point]), 3);
  assertEquals(sequence.position, 97);
  assertEquals(held(sequence)[0], [93, 94, 95, 96]);
  assertEquals(goBack(sequence, 40, [beginning(sequence), point]), 87);
  assertEquals([sequence.position, held(sequence)[0]], [10, [6, 7, 8, 9]]);
  read(sequence, 40);
  assertEquals(goBack(sequence, 45, [beginning(sequence), point]), 50);
  assertEquals([sequence.position, held(sequence)], [0, [[], []]]);
});

Deno.test("goBack() refuses what no point lies before, and leaves the sequence as it was", () => {
  const sequence = windowed();
  using _cache = sequence.cache;
  read(sequence, 100);
  using point = holdSequence(sequence);
  read(sequence, 100);
  assertThrows(() => goBack(sequence, 150, [point]), RangeError, "no moment before them is held");
  assertEquals([sequence.position, held(sequence)[0]], [200, [196, 197, 198, 199]]);
});

Deno.test("reachOf() tells how far one can go back, with points and without", () => {
  const sequence = windowed();
  using _cache = sequence.cache;
  read(sequence, 20);
  using point = holdSequence(sequence);
  read(sequence, 60);
  const alone = reachOf(sequence, 80, []);
  assertEquals([canGoBack(sequence, alone), canGoBack(sequence, alone + 1)], [true, false]);
  assertEquals(reachOf(sequence, 80, [point]), 60);
  assertEquals(reachOf(sequence, 80, [point, beginning(sequence)]), 80);
  assertEquals(reachOf(sequence, 2, [point]), 2);
  // Where keys were rerotated, a moment may lie before the first position: nothing can be read there.
  assertEquals(reachOf(sequence, 80, [{ ...point, position: -1 }]), alone);
});
