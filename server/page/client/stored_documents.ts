import { useState } from "npm:preact@11.2.0/hooks";
import type { Api, KeptToken, StoredDocument } from "./api.ts";
import { bytesText, countText, dayText } from "./format.ts";
import { html } from "./html.ts";
import { KeptView } from "./kept_view.ts";

interface StoredDocumentsProps {
  readonly api: Api;
  readonly documents: readonly StoredDocument[];
  /** The one that is asked about. */
  readonly chosen: string | undefined;
  readonly choose: (document: StoredDocument) => void;
  /** Called when one was deleted. */
  readonly deleted: (id: string) => void;
}

/** Documents that the server keeps: to ask about, to look at, to delete. */
export function StoredDocuments(
  { api, documents, chosen, choose, deleted }: StoredDocumentsProps,
) {
  if (documents.length === 0) return null;
  return html`
    <details class="stored">
      <summary>Documents on the server (${documents.length})</summary>
      <ul>${documents.map((document) =>
        html`
          <${Row} key=${document.id} api=${api} document=${document}
            chosen=${document.id === chosen} choose=${choose} deleted=${deleted} />
        `
      )}</ul>
    </details>
  `;
}

interface RowProps extends Pick<StoredDocumentsProps, "api" | "choose" | "deleted"> {
  readonly document: StoredDocument;
  readonly chosen: boolean;
}

function Row({ api, document, chosen, choose, deleted }: RowProps) {
  const [tokens, setTokens] = useState<readonly KeptToken[] | undefined>(undefined);
  const [sure, setSure] = useState(false);
  const [error, setError] = useState("");
  const { id, policy, kept, stored } = document;
  const name = document.name ?? id;
  const path = `/v1/documents/${encodeURIComponent(id)}`;
  const doing = (work: () => Promise<void>) => async () => {
    try {
      setError("");
      await work();
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
    }
  };
  const show = doing(async () => {
    if (tokens) return setTokens(undefined);
    setTokens((await api.json<{ tokens: readonly KeptToken[] }>(`${path}/tokens`)).tokens);
  });
  const remove = doing(async () => {
    if (!sure) return setSure(true);
    await api.remove(path);
    deleted(id);
  });
  const facts = [
    `${countText(document.tokens)} tokens`,
    `${countText(kept)} kept by ${policy}`,
    bytesText(document.bytes_after),
    stored ? "on disk" : "in memory",
    dayText(document.created),
  ];
  return html`
    <li class=${chosen ? "chosen" : ""}>
      <p class="name"><strong>${name}</strong><span>${facts.join(" · ")}</span></p>
      <div class="does">
        <button type="button" disabled=${chosen} aria-label=${`Ask about ${name}`}
          onClick=${() => choose(document)}>${chosen ? "Asked about" : "Ask about it"}</button>
        <button type="button" aria-expanded=${tokens !== undefined}
          aria-label=${`What was kept of ${name}`} onClick=${show}>What was kept</button>
        <button type="button" class=${sure ? "bad" : ""} onBlur=${() => setSure(false)}
          aria-label=${sure ? `Really delete ${name}` : `Delete ${name}`}
          onClick=${remove}>${sure ? "Really delete?" : "Delete"}</button>
      </div>
      ${error === "" ? null : html`
        <p class="error" role="alert">${error}</p>
      `}
      ${tokens === undefined ? null : tokens.length === 0
        ? html`
          <p class="note">What was kept of it is not known: it was read by an older version.</p>
        `
        : html`
          <${KeptView} tokens=${tokens} />
        `}
    </li>
  `;
}
