import { render } from "npm:preact@11.2.0";
import { useEffect, useRef, useState } from "npm:preact@11.2.0/hooks";
import { ApiError, createApi, type StoredDocument } from "./api.ts";
import { DocumentBox } from "./document_box.ts";
import { html } from "./html.ts";
import { Lane } from "./lane.ts";
import type { PageDocument } from "./read_file.ts";
import { StoredDocuments } from "./stored_documents.ts";
import { ask, type LaneSettings, type Turn } from "./turn.ts";

/** What the server wrote into the page. */
interface PageData {
  readonly policies: readonly { readonly name: string; readonly summary: string }[];
}

interface LaneState {
  readonly settings: LaneSettings;
  readonly turns: readonly Turn[];
}

const DATA: PageData = JSON.parse(document.getElementById("data")?.textContent ?? "{}");
const api = createApi();
const NAMES = ["a", "b"];

function App() {
  const [models, setModels] = useState<readonly string[]>([]);
  const [model, setModel] = useState("");
  const [locked, setLocked] = useState(false);
  const [problem, setProblem] = useState("");
  const [source, setSource] = useState<PageDocument | undefined>(undefined);
  const [kept, setKept] = useState<readonly StoredDocument[]>([]);
  const [once, setOnce] = useState(false);
  const [both, setBoth] = useState(false);
  const [most, setMost] = useState(256);
  const [question, setQuestion] = useState("");
  const [running, setRunning] = useState<AbortController | undefined>(undefined);
  const [lanes, setLanes] = useState<readonly LaneState[]>([
    { settings: { policy: "snapkv", budget: "256" }, turns: [] },
    { settings: { policy: "full", budget: "256" }, turns: [] },
  ]);
  // A document that was compressed before has one policy.
  const shown = both && source?.id === undefined ? 2 : 1;
  const box = useRef<HTMLTextAreaElement>(null);

  const changeLane = (index: number, change: (lane: LaneState) => LaneState) =>
    setLanes((before) => before.map((lane, at) => at === index ? change(lane) : lane));
  const clear = () => setLanes((before) => before.map((lane) => ({ ...lane, turns: [] })));

  const listKept = async () =>
    setKept((await api.json<{ data: readonly StoredDocument[] }>("/v1/documents")).data);
  const connect = async () => {
    try {
      const { data } = await api.json<{ data: { id: string }[] }>("/v1/models");
      const ids = data.map(({ id }) => id);
      setModels(ids);
      setModel((before) => before || (ids[0] ?? ""));
      setLocked(false);
      setProblem("");
      await listKept();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) setLocked(true);
      else setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  useEffect(() => {
    connect();
  }, []);

  const send = async () => {
    const asked = question.trim();
    if (asked === "" || running || locked) return;
    const stop = new AbortController();
    setRunning(stop);
    setQuestion("");
    await Promise.all(
      lanes.slice(0, shown).map(({ settings, turns }, index) =>
        ask(api, {
          model,
          settings,
          turns,
          question: asked,
          ...(source ? { document: source } : {}),
          once,
          maxTokens: most,
          signal: stop.signal,
          now: () => performance.now(),
        }, (turn) => changeLane(index, (lane) => ({ ...lane, turns: [...turns, turn] })))
      ),
    );
    setRunning(undefined);
    if (once) await listKept().catch(() => {});
    box.current?.focus();
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key === "Escape") running?.abort();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  const summaryOf = (policy: string) =>
    DATA.policies.find(({ name }) => name === policy.trim())?.summary ??
      "An expression of policies, such as rerotate(snapkv).";

  return html`
    <header>
      <h1>kvjudge</h1>
      <div class="bar">
        <label for="model">Model</label>
        <select id="model" value=${model} onChange=${(
          event: Event & { target: HTMLSelectElement },
        ) => {
          setModel(event.target.value);
          clear();
        }}>${models.map((id) =>
          html`
            <option value=${id}>${id}</option>
          `
        )}</select>
        <label class="check"><input type="checkbox" checked=${both}
          onChange=${(event: Event & { target: HTMLInputElement }) =>
            setBoth(event.target.checked)} />
          Two policies side by side</label>
        <label for="most">Tokens of an answer</label>
        <input id="most" type="number" min="1" max="100000" value=${most}
          onChange=${(event: Event & { target: HTMLInputElement }) =>
            setMost(Math.max(1, Math.round(event.target.valueAsNumber) || 1))} />
        <button type="button" onClick=${clear} disabled=${running !== undefined}>New chat</button>
      </div>
    </header>
    ${locked
      ? html`
        <form class="key" onSubmit=${(event: Event) => {
          event.preventDefault();
          connect();
        }}>
          <label for="key">This server wants a key</label>
          <input id="key" type="password" autocomplete="off"
            onInput=${(event: Event & { target: HTMLInputElement }) =>
              api.key = event.target.value} />
          <button>Use it</button>
        </form>
      `
      : null}
    ${problem === "" ? null : html`
      <p class="error" role="alert">${problem}</p>
    `}
    <${DocumentBox} document=${source} once=${once} changeOnce=${setOnce}
      change=${(given: PageDocument | undefined) => {
        setSource(given);
        clear();
      }} />
    <${StoredDocuments} api=${api} chosen=${source?.id}
      documents=${kept.filter((one) => one.model === model && one.form === "chat")}
      choose=${({ id, name, policy }: StoredDocument) => {
        setSource({ id, name: name ?? id, policy, text: "" });
        clear();
      }}
      deleted=${(id: string) => {
        setKept((before) => before.filter((one) => one.id !== id));
        if (source?.id !== id) return;
        setSource(undefined);
        clear();
      }} />
    <datalist id="policies">${DATA.policies.map(({ name, summary }) =>
      html`
        <option value=${name}>${summary}</option>
      `
    )}</datalist>
    <main class=${shown > 1 ? "lanes two" : "lanes"}>${lanes.slice(0, shown).map((
      { settings, turns },
      index,
    ) =>
      html`
        <${Lane} key=${index} name=${NAMES[index]} settings=${settings} turns=${turns}
          summary=${summaryOf(source?.policy ?? settings.policy)} fixed=${source?.policy}
          change=${(changed: LaneSettings) =>
            changeLane(index, (lane) => ({ ...lane, settings: changed }))} />
      `
    )}</main>
    <form class="ask" onSubmit=${(event: Event) => {
      event.preventDefault();
      send();
    }}>
      <label for="question">Question</label>
      <textarea id="question" ref=${box} rows="2" value=${question} placeholder="Ask something"
        onInput=${(event: Event & { target: HTMLTextAreaElement }) =>
          setQuestion(event.target.value)}
        onKeyDown=${pressed}></textarea>
      ${running
        ? html`
          <button type="button" class="main" onClick=${() => running.abort()}>Stop</button>
        `
        : html`
          <button class="main" disabled=${question.trim() === "" || locked}>Ask</button>
        `}
      <p class="hint">Enter asks, Shift+Enter makes a new line, Escape stops.</p>
    </form>
  `;
}

const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
