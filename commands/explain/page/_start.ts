import type { openModel } from "./_model.ts";
import type { PageData } from "./_pack.ts";
import type { createPicture } from "./_picture.ts";

/**
 * Starts the page. It runs in the browser: its source text is put into the page, so it uses nothing
 * that stands outside of it but what it is given.
 */
export async function startPage(
  open: typeof openModel,
  draws: typeof createPicture,
): Promise<void> {
  const byId = (id: string) => {
    const found = document.getElementById(id);
    if (!found) throw new Error(`The page has no ${id}`);
    return found;
  };
  const data: PageData = JSON.parse(byId("data").textContent ?? "");
  const model = await open(data);
  const canvas = byId("picture") as HTMLCanvasElement;
  const picture = draws(canvas, model);
  const [layerInput, headInput] = [byId("layer"), byId("head")] as HTMLInputElement[];
  const [text, tip] = [byId("text"), byId("tip")];
  if (!layerInput || !headInput) return;

  /** Where each piece begins, and the piece of each token. */
  const starts: number[] = [];
  const pieceOf = new Int32Array(model.tokens);
  const counts = new Map<number, number>();
  for (let i = 0; i < data.joined.length; i += 2) {
    counts.set(data.joined[i] ?? 0, data.joined[i + 1] ?? 1);
  }
  const spans: HTMLElement[] = [];
  let block = document.createElement("span");
  let next = 0;
  for (const [index, piece] of data.texts.entries()) {
    const count = counts.get(index) ?? 1;
    starts.push(next);
    pieceOf.fill(index, next, next + count);
    next += count;
    const span = document.createElement("span");
    span.textContent = piece;
    span.dataset["piece"] = String(index);
    spans.push(span);
    block.append(span);
    // Blocks off the screen need not be laid out; they end where a line does.
    if (block.childElementCount >= 256 && piece.endsWith("\n")) {
      block.className = "block";
      text.append(block);
      block = document.createElement("span");
    }
  }
  block.className = "block";
  text.append(block);

  let votes: Uint32Array = new Uint32Array(model.tokens);
  let current = -1;
  const chosen = () => [Number(layerInput.value), Number(headInput.value)] as const;
  const name = (value: number) => value < 0 ? "all" : String(value);
  const votesFor = (piece: number) => {
    const from = starts[piece] ?? 0;
    return Math.max(...votes.subarray(from, starts[piece + 1] ?? model.tokens));
  };

  const redraw = () => {
    const [layer, head] = chosen();
    picture.draw(layer, head, current < 0 ? -1 : starts[current] ?? -1);
  };
  const update = () => {
    const [layer, head] = chosen();
    for (const [input, what] of [[layerInput, "layer"], [headInput, "head"]] as const) {
      const value = Number(input.value);
      byId(`${what}-value`).textContent = name(value);
      input.setAttribute("aria-valuetext", value < 0 ? `all ${what}s` : `${what} ${value}`);
    }
    votes = model.votes(layer, head);
    const voters = model.voters(layer, head);
    for (const [piece, span] of spans.entries()) {
      const count = votesFor(piece);
      const shade = count >= voters ? 5 : Math.ceil(4 * count / voters);
      if (span.className !== `k${shade}`) span.className = `k${shade}`;
    }
    const by = (min: number) => votes.reduce((sum, count) => sum + (count >= min ? 1 : 0), 0);
    const [some, all] = [by(1), by(voters)];
    const window = layer < 0 ? 0 : model.window(layer);
    const slides = window > 0 ? ` This layer slides: it keeps its last ${window - 1} tokens.` : "";
    byId("kept").textContent =
      (voters === 1
        ? `This head keeps ${all} of ${model.tokens} tokens.`
        : `Of ${model.tokens} tokens, all ${voters} heads keep ${all}, some keep ${some - all}, ` +
          `none keeps ${model.tokens - some}.`) + slides;
    document.body.classList.toggle("single", voters === 1);
    redraw();
    describe();
  };

  const describe = () => {
    if (current < 0) {
      tip.hidden = true;
      return;
    }
    const [layer, head] = chosen();
    const voters = model.voters(layer, head);
    const from = starts[current] ?? 0;
    const to = starts[current + 1] ?? model.tokens;
    const title = document.createElement("strong");
    title.textContent = `“${(data.texts[current] ?? "").replace("\n", "")}”`;
    tip.replaceChildren(title);
    for (let at = from; at < to; at++) {
      const score = model.score(layer, head, at);
      const line = document.createElement("div");
      const share = Math.round(100 * (votes[at] ?? 0) / voters);
      line.textContent = [
        `position ${at}, token ${model.ids[at]}`,
        voters === 1
          ? (votes[at] ? "kept" : "evicted")
          : `kept by ${votes[at]} of ${voters} heads (${share}%)`,
        ...score === undefined ? [] : [`score ${Number(score.toPrecision(2))}`],
      ].join(" · ");
      tip.append(line);
    }
    tip.hidden = false;
  };
  const placeTip = (x: number, y: number) => {
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - width - 12))}px`;
    tip.style.top = `${y + height + 28 > innerHeight ? y - height - 14 : y + 18}px`;
  };
  const select = (piece: number, scroll: boolean) => {
    spans[current]?.classList.remove("current");
    current = piece >= 0 && piece < spans.length ? piece : -1;
    const span = spans[current];
    span?.classList.add("current");
    if (scroll) span?.scrollIntoView({ block: "center" });
    redraw();
    describe();
    const box = span?.getBoundingClientRect();
    if (box) placeTip(box.left, box.bottom - 12);
  };
  const choose = (layer: number, head: number) => {
    [layerInput.value, headInput.value] = [String(layer), String(head)];
    update();
  };

  layerInput.addEventListener("input", update);
  headInput.addEventListener("input", update);
  byId("fold").addEventListener("change", ({ target }) => {
    text.classList.toggle("fold", (target as HTMLInputElement).checked);
  });
  text.addEventListener("pointermove", ({ target, clientX, clientY }) => {
    const piece = (target as HTMLElement).dataset["piece"];
    if (piece === undefined) return;
    if (Number(piece) !== current) select(Number(piece), false);
    placeTip(clientX, clientY);
  });
  text.addEventListener("pointerleave", () => select(-1, false));
  text.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") select(-1, false);
    else if (event.key === "Home") select(0, true);
    else if (event.key === "End") select(spans.length - 1, true);
    else if (move === undefined) return;
    else select(Math.max(0, Math.min(spans.length - 1, current + move)), true);
    event.preventDefault();
  });
  text.addEventListener("blur", () => select(-1, false));
  const under = ({ offsetX, offsetY }: MouseEvent) => picture.place(offsetX, offsetY);
  canvas.addEventListener("pointermove", (event) => {
    const place = under(event);
    select(place ? pieceOf[place.at] ?? -1 : -1, false);
    placeTip(event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", () => select(-1, false));
  canvas.addEventListener("click", (event) => {
    const place = under(event);
    if (!place) return;
    choose(place.layer, place.head);
    select(pieceOf[place.at] ?? -1, true);
  });
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  choose(data.layer, data.head);
  document.body.dataset["ready"] = "";
}
