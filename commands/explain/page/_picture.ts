import type { PageModel } from "./_model.ts";

/** A place in the picture. */
export interface PicturePlace {
  readonly layer: number;
  readonly head: number;
  readonly at: number;
}

/** The picture of every layer, head and position. */
export interface Picture {
  /** Draws it with the chosen heads in full colour, and the share that keeps each position below. */
  draw(layer: number, head: number, at: number): void;
  /** What lies under a pointer, if anything. */
  place(x: number, y: number): PicturePlace | undefined;
}

/**
 * Makes the picture. It runs in the browser: its source text is put into the page, so it uses nothing
 * that stands outside of it.
 */
export function createPicture(canvas: HTMLCanvasElement, model: PageModel): Picture {
  const LEFT = 42;
  const BOTTOM = 18;
  const PROFILE = 44;
  const GAP = 12;
  const { tokens, layers, heads } = model;
  const rows = layers * heads;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser draws no pictures");

  const sizes = () => {
    const width = Math.max(1, canvas.clientWidth - LEFT);
    const max = Math.max(160, Math.min(globalThis.innerHeight - 360, 620));
    const row = Math.max(2, Math.min(12, Math.floor(max / rows)));
    const gap = heads > 1 && row > 3 ? 1 : 0;
    return { width, row, gap, height: rows * row + layers * gap };
  };
  const top = (layer: number, head: number) => {
    const { row, gap } = sizes();
    return (layer * heads + head) * row + layer * gap;
  };
  const colour = (name: string) => getComputedStyle(canvas).getPropertyValue(name).trim();

  /** One head as pixels: how much is kept of the positions that fall on each. */
  const drawRow = (layer: number, head: number, y: number, height: number, width: number) => {
    for (let from = 0; from < width;) {
      const share = shareOf(layer, head, from, width);
      let to = from + 1;
      while (to < width && shareOf(layer, head, to, width) === share) to++;
      if (share > 0) {
        context.globalAlpha = 0.25 + 0.75 * share;
        context.fillRect(LEFT + from, y, to - from, height);
      }
      from = to;
    }
  };
  const shareOf = (layer: number, head: number, x: number, width: number) => {
    const from = Math.floor(x * tokens / width);
    const to = Math.max(from + 1, Math.floor((x + 1) * tokens / width));
    let kept = 0;
    for (let at = from; at < to; at++) kept += model.isKept(layer, head, at) ? 1 : 0;
    return kept / (to - from);
  };

  const drawProfile = (layer: number, head: number, y: number, width: number) => {
    const votes = model.votes(layer, head);
    const voters = Math.max(1, model.voters(layer, head));
    context.globalAlpha = 1;
    for (let x = 0; x < width; x++) {
      const from = Math.floor(x * tokens / width);
      const to = Math.max(from + 1, Math.floor((x + 1) * tokens / width));
      let sum = 0;
      for (let at = from; at < to; at++) sum += votes[at] ?? 0;
      const height = PROFILE * sum / (to - from) / voters;
      context.fillRect(LEFT + x, y + PROFILE - height, 1, height);
    }
  };

  const label = (text: string, x: number, y: number, align: CanvasTextAlign) => {
    context.textAlign = align;
    context.fillText(text, x, y);
  };

  return {
    draw(layer, head, at) {
      const { width, row, gap, height } = sizes();
      const total = height + GAP + PROFILE + BOTTOM;
      const scale = globalThis.devicePixelRatio || 1;
      canvas.style.height = `${total}px`;
      canvas.width = Math.round(canvas.clientWidth * scale);
      canvas.height = Math.round(total * scale);
      context.setTransform(scale, 0, 0, scale, 0, 0);
      const [all, quiet, ink, ground] = ["--k5", "--quiet", "--ink", "--ground"].map(colour);
      context.fillStyle = ground ?? "";
      context.fillRect(LEFT, 0, width, height);
      context.fillRect(LEFT, height + GAP, width, PROFILE);
      for (let l = 0; l < layers; l++) {
        for (let h = 0; h < heads; h++) {
          const isChosen = model.isChosen(l * heads + h, layer, head);
          context.fillStyle = (isChosen ? all : quiet) ?? "";
          drawRow(l, h, top(l, h), row, width);
        }
      }
      context.fillStyle = all ?? "";
      drawProfile(layer, head, height + GAP, width);
      context.globalAlpha = 1;
      context.fillStyle = ink ?? "";
      context.font = "11px system-ui, sans-serif";
      context.textBaseline = "middle";
      const step = Math.max(1, Math.ceil(14 / (heads * row + gap)));
      for (let l = 0; l < layers; l += step) {
        label(String(l), LEFT - 6, top(l, 0) + heads * row / 2, "right");
      }
      label("share", LEFT - 6, height + GAP + PROFILE / 2, "right");
      const under = total - BOTTOM / 2;
      label("0", LEFT, under, "left");
      label("position", LEFT + width / 2, under, "center");
      label(String(tokens - 1), LEFT + width, under, "right");
      if (at < 0) return;
      const x = LEFT + (at + 0.5) * width / tokens;
      context.fillRect(x - 0.5, 0, 1, height + GAP + PROFILE);
    },
    place(x, y) {
      const { width, row, height } = sizes();
      const at = Math.floor((x - LEFT) * tokens / width);
      if (at < 0 || at >= tokens || y < 0) return undefined;
      if (y >= height) return y < height + GAP + PROFILE ? { layer: -1, head: -1, at } : undefined;
      const layer = Math.min(layers - 1, Math.floor(y * layers / height));
      const head = Math.max(0, Math.min(heads - 1, Math.floor((y - top(layer, 0)) / row)));
      return { layer, head, at };
    },
  };
}
