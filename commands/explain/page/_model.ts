import type { PageData } from "./_pack.ts";

/** What is kept, as the page asks for it. -1 stands for all layers or heads. */
export interface PageModel {
  readonly tokens: number;
  readonly layers: number;
  readonly heads: number;
  readonly ids: Int32Array;
  /** Window of a layer that slides, 0 for a global one. */
  window(layer: number): number;
  /** Whether a head is among those that are looked at. */
  isChosen(row: number, layer: number, head: number): boolean;
  /** How many of the chosen heads keep each token. */
  votes(layer: number, head: number): Uint32Array;
  /** How many heads are chosen. */
  voters(layer: number, head: number): number;
  isKept(layer: number, head: number, at: number): boolean;
  /** Mean score under the chosen heads, if it is known. */
  score(layer: number, head: number, at: number): number | undefined;
}

/**
 * Unpacks the page's data. It runs in the browser: its source text is put into the page, so it uses
 * nothing that stands outside of it.
 */
export async function openModel(data: PageData): Promise<PageModel> {
  const inflate = async (text: string): Promise<ArrayBuffer> => {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return await new Response(stream).arrayBuffer();
  };
  const { tokens, layers, heads, windows, scoresOf } = data;
  const ids = new Int32Array(await inflate(data.ids));
  const bits = new Uint8Array(await inflate(data.kept));
  const halves = new Uint16Array(await inflate(data.scores));
  const word = new DataView(new ArrayBuffer(4));
  const stride = Math.ceil(tokens / 8);

  // Layers that slide keep their last tokens whatever a policy says: they count where all slide.
  const globals = [...windows.keys()].filter((layer) => !windows[layer]);
  const isChosen = (row: number, layer: number, head: number): boolean => {
    const of = Math.floor(row / heads);
    const ofLayer = layer < 0 ? globals.length === 0 || globals.includes(of) : of === layer;
    return ofLayer && (head < 0 || row % heads === head);
  };
  const rows = (layer: number, head: number): number[] => {
    const found: number[] = [];
    for (let row = 0; row < layers * heads; row++) if (isChosen(row, layer, head)) found.push(row);
    return found;
  };
  const bit = (row: number, at: number) => (bits[row * stride + (at >> 3)] ?? 0) >> (at & 7) & 1;
  const scoreAt = (index: number) => {
    word.setUint32(0, (halves[index] ?? 0) << 16);
    return word.getFloat32(0);
  };
  return {
    tokens,
    layers,
    heads,
    ids,
    window: (layer) => windows[layer] ?? 0,
    isChosen,
    votes(layer, head) {
      const votes = new Uint32Array(tokens);
      for (const row of rows(layer, head)) {
        for (let at = 0; at < tokens; at++) votes[at] = (votes[at] ?? 0) + bit(row, at);
      }
      return votes;
    },
    voters: (layer, head) => rows(layer, head).length,
    isKept: (layer, head, at) => bit(layer * heads + head, at) === 1,
    score(layer, head, at) {
      if (scoresOf === "none" || (scoresOf === "layer" && head >= 0)) return undefined;
      const all = rows(layer, head);
      if (all.some((row) => windows[Math.floor(row / heads)])) return undefined;
      const placeOf = (row: number) => globals.indexOf(Math.floor(row / heads));
      const places = scoresOf === "head"
        ? all.map((row) => placeOf(row) * heads + row % heads)
        : [...new Set(all.map(placeOf))];
      const sum = places.reduce((total, place) => total + scoreAt(place * tokens + at), 0);
      return sum / places.length;
    },
  };
}
