import { bytesText, countText, timeText } from "./format.ts";
import { html } from "./html.ts";
import { KeptView } from "./kept_view.ts";
import type { LaneSettings, Turn } from "./turn.ts";

interface LaneProps {
  readonly name: string;
  readonly settings: LaneSettings;
  readonly turns: readonly Turn[];
  readonly summary: string;
  /** The policy of a document that was compressed before: it cannot be chosen then. */
  readonly fixed?: string | undefined;
  readonly change: (settings: LaneSettings) => void;
}

/** A policy, its budget, and what was answered with it. */
export function Lane({ name, settings, turns, summary, fixed, change }: LaneProps) {
  const { policy, budget } = settings;
  const shown = fixed ?? policy;
  const id = `lane-${name}`;
  const typed = (field: keyof LaneSettings) => (event: Event & { target: HTMLInputElement }) =>
    change({ ...settings, [field]: event.target.value });
  return html`
    <section class="lane" aria-label=${`Answers with policy ${shown || "none"}`}>
      <div class="settings">
        <label for=${`${id}-policy`}>Policy</label>
        <input id=${`${id}-policy`} list="policies" value=${shown} disabled=${fixed !== undefined}
          spellcheck=${false}
          autocomplete="off" placeholder="full" onInput=${typed("policy")} />
        <label for=${`${id}-budget`}>Budget</label>
        <input id=${`${id}-budget`} value=${fixed === undefined
          ? budget
          : ""} disabled=${fixed !== undefined} spellcheck=${false}
          autocomplete="off" title="Tokens (256), a share (10%) or bytes (8MiB)"
          onInput=${typed("budget")} />
      </div>
      <p class="about">${summary}</p>
      <ol class="turns" aria-live="polite">${turns.map((turn, index) =>
        html`
          <li key=${index}>
            <${TurnView} turn=${turn} />
          </li>
        `
      )}</ol>
    </section>
  `;
}

function TurnView({ turn }: { readonly turn: Turn }) {
  const { question, answer, state, read, error, report } = turn;
  return html`
    <article>
      <p class="question">${question}</p>
      ${state === "waiting" || state === "reading"
        ? html`
          <p class="status">
            ${state === "reading" ? "Reading" : "Waiting"}
            <progress max="1" value=${read} aria-label="Share of the prompt that is read"></progress>
          </p>
        `
        : null}
      ${answer === "" ? null : html`
        <p class="answer">${answer}</p>
      `}
      ${error === undefined ? null : html`
        <p class="error" role="alert">${error}</p>
      `}
      ${state === "stopped"
        ? html`
          <p class="status">Stopped.</p>
        `
        : null}
      ${report
        ? html`
          <${Facts} turn=${turn} report=${report} />
        `
        : null}
    </article>
  `;
}

function Facts(
  { turn, report }: { readonly turn: Turn; readonly report: NonNullable<Turn["report"]> },
) {
  const { usage, firstMs, perSecond } = turn;
  const { kept, bytes_before: before, bytes_after: after, notes = [], tokens } = report;
  const facts = [
    usage ? ["Prompt", `${countText(usage.prompt_tokens)} tokens`] : undefined,
    ["Kept", `${countText(kept)} tokens a head`],
    ["Cache", before === after ? bytesText(after) : `${bytesText(before)} → ${bytesText(after)}`],
    firstMs === undefined ? undefined : ["First word", timeText(firstMs)],
    perSecond ? ["Speed", `${perSecond.toFixed(1)} tokens/s`] : undefined,
  ].filter((fact) => fact !== undefined);
  return html`
    <dl class="facts">${facts.map(([name, value]) =>
      html`
        <div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>
      `
    )}</dl>
    <meter class="memory" min="0" max=${before || 1} value=${after}
      aria-label="Memory of the cache behind the eviction, of that before it"></meter>
    ${notes.map((note) =>
      html`
        <p class="note">${note}</p>
      `
    )}
    ${tokens
      ? html`
        <${KeptView} tokens=${tokens} />
      `
      : null}
  `;
}
