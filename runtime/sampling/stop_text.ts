/** Holds back text that may be the beginning of a stop string. */
export interface StopText {
  /** Takes more text; returns what is safe to show, and whether a stop string was reached. */
  push(text: string): { readonly text: string; readonly stopped: boolean };
  /** What was held back, at the end. */
  flush(): string;
}

/** Watches a growing text for any of the stop strings; they are not shown. */
export function createStopText(stops: readonly string[]): StopText {
  const wanted = stops.filter((stop) => stop !== "");
  let held = "";
  return {
    push(text) {
      held += text;
      const found = wanted.map((stop) => held.indexOf(stop)).filter((index) => index >= 0);
      if (found.length > 0) {
        const shown = held.slice(0, Math.min(...found));
        held = "";
        return { text: shown, stopped: true };
      }
      const safe = held.length - longestBeginning(held, wanted);
      const shown = held.slice(0, safe);
      held = held.slice(safe);
      return { text: shown, stopped: false };
    },
    flush() {
      const rest = held;
      held = "";
      return rest;
    },
  };
}

/** Length of the longest end of the text that begins one of the stop strings. */
function longestBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (stop.startsWith(text.slice(-length))) longest = length;
    }
  }
  return longest;
}
