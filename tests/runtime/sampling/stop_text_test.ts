import { assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { createStopText } from "../../../runtime/sampling/stop_text.ts";

/** Everything that is shown of the pieces, and whether a stop string was reached. */
function show(stops: readonly string[], pieces: readonly string[]) {
  const watcher = createStopText(stops);
  let shown = "";
  for (const piece of pieces) {
    const { text, stopped } = watcher.push(piece);
    shown += text;
    if (stopped) return { shown, stopped };
  }
  return { shown: shown + watcher.flush(), stopped: false };
}

Deno.test("createStopText() finds a stop string that is split over pieces", () => {
  assertEquals(show(["END"], ["one E", "N", "D two"]), { shown: "one ", stopped: true });
  assertEquals(show(["END"], ["one E", "N", "E"]), { shown: "one ENE", stopped: false });
});

Deno.test("createStopText() shows at once what cannot begin a stop string", () => {
  const watcher = createStopText(["\n\nUser:"]);
  assertEquals(watcher.push("Hello"), { text: "Hello", stopped: false });
  assertEquals(watcher.push(" there\n"), { text: " there", stopped: false });
  assertEquals(watcher.push("\n"), { text: "", stopped: false });
  assertEquals(watcher.push("You"), { text: "\n\nYou", stopped: false });
});

Deno.test("createStopText() takes the first of several, and overlaps within one", () => {
  assertEquals(show(["two", "one"], ["a one two"]), { shown: "a ", stopped: true });
  assertEquals(show(["aab"], ["aa", "a", "b"]), { shown: "a", stopped: true });
});

Deno.test("createStopText() passes everything on where there is nothing to stop at", () => {
  assertEquals(show([], ["a", "b"]), { shown: "ab", stopped: false });
  assertEquals(show([""], ["a", "b"]), { shown: "ab", stopped: false });
});

Deno.test("createStopText() shows the text before the first stop string, however it is cut", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 20 });
  const stops = fc.array(
    fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }),
    {
      maxLength: 3,
    },
  );
  const check = fc.property(
    text,
    stops,
    fc.array(fc.nat(20), { maxLength: 8 }),
    (all, ends, cuts) => {
      const places = [
        0,
        ...cuts.filter((cut) => cut <= all.length).sort((a, b) => a - b),
        all.length,
      ];
      const pieces = places.slice(1).map((place, index) => all.slice(places[index], place));
      const { shown, stopped } = show(ends, pieces);
      const found = ends.map((end) => all.indexOf(end)).filter((index) => index >= 0);
      // Cut up, a stop string that ends earlier is seen first even if another began before it.
      const reached = ends
        .filter((end) => all.includes(end))
        .map((end) => all.indexOf(end) + end.length);
      if (found.length === 0) {
        assertEquals({ shown, stopped }, { shown: all, stopped: false });
      } else {
        assertEquals(stopped, true);
        assertEquals(all.startsWith(shown), true);
        assertEquals(shown.length <= Math.max(...reached), true);
        assertEquals(ends.some((end) => shown.includes(end)), false);
        assertEquals(ends.some((end) => all.slice(shown.length).startsWith(end)), true);
      }
    },
  );
  fc.assert(check, { seed: 1, numRuns: 300 });
});
