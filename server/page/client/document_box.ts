import { useRef, useState } from "npm:preact@11.2.0/hooks";
import { countText } from "./format.ts";
import { html } from "./html.ts";
import { type PageDocument, readDocument } from "./read_file.ts";

interface DocumentBoxProps {
  readonly document: PageDocument | undefined;
  readonly once: boolean;
  readonly change: (document: PageDocument | undefined) => void;
  readonly changeOnce: (once: boolean) => void;
}

/** Where a document is dropped, chosen or pasted. */
export function DocumentBox({ document, once, change, changeOnce }: DocumentBoxProps) {
  const [over, setOver] = useState(false);
  const [error, setError] = useState("");
  const file = useRef<HTMLInputElement>(null);
  const take = async (files: FileList | null | undefined) => {
    const given = files?.item(0);
    if (!given) return;
    try {
      setError("");
      change(await readDocument(given));
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
    }
  };
  const dropped = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer?.files);
  };
  const dragged = (event: DragEvent) => {
    event.preventDefault();
    setOver(true);
  };
  return html`
    <section class=${`document ${over ? "over" : ""}`} aria-label="Document"
      onDragOver=${dragged} onDragLeave=${() => setOver(false)} onDrop=${dropped}>
      ${document
        ? html`
          <p class="name"><strong>${document.name}</strong>
            <span>${document.id === undefined
              ? `${countText(document.text.length)} characters`
              : "on the server, as its own policy kept it"}</span></p>
          <button type="button" onClick=${() => change(undefined)}>Remove</button>
          ${document.id === undefined
            ? html`
              <label class="check"><input type="checkbox" checked=${once}
                onChange=${(event: Event & { target: HTMLInputElement }) =>
                  changeOnce(event.target.checked)} />
                Read it once and keep it on the server: questions are answered sooner, and the policy
                does not see them</label>
            `
            : null}
        `
        : html`
          <p>Drop a document here: text, Markdown or HTML.</p>
          <button type="button" onClick=${() => file.current?.click()}>Choose a file</button>
          <input ref=${file} type="file" hidden accept=".txt,.md,.markdown,.html,.htm,text/*"
            aria-label="Document" onChange=${(event: Event & { target: HTMLInputElement }) =>
              take(event.target.files)} />
        `}
      ${error === "" ? null : html`
        <p class="error" role="alert">${error}</p>
      `}
    </section>
  `;
}
