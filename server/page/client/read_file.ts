/** A document that a user gave. */
export interface PageDocument {
  readonly name: string;
  readonly text: string;
  /** Where the server keeps it already; its text is not known then. */
  readonly id?: string;
  /** The policy that it was compressed with then. */
  readonly policy?: string;
}

/** Larger ones would not pass the server's bound on a request. */
const LARGEST = 12 * 2 ** 20;

/** Elements of a page that begin on a line of their own. */
const BLOCKS =
  "p,div,section,article,header,footer,li,tr,h1,h2,h3,h4,h5,h6,pre,blockquote,table,ul,ol";

/**
 * Reads a file as text; of a web page, what a reader sees.
 *
 * @throws {Error} If it is too large or not text.
 */
export async function readDocument(file: File): Promise<PageDocument> {
  if (file.size > LARGEST) {
    throw new Error(`${file.name} is larger than 12 MiB; give a part of it`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = decoded(bytes);
  if (text === undefined) {
    throw new Error(
      `${file.name} is not text: give .txt, .md or .html, and save PDF files as text`,
    );
  }
  const isPage = /\.x?html?$/i.test(file.name) || file.type === "text/html";
  const read = (isPage ? textOfPage(text) : text).trim();
  if (read === "") throw new Error(`${file.name} has no text`);
  return { name: file.name, text: read };
}

function decoded(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** A document that was parsed runs no script and loads nothing. */
function textOfPage(html: string): string {
  const page = new DOMParser().parseFromString(html, "text/html");
  page.querySelectorAll("script,style,noscript,template,svg,head").forEach((one) => one.remove());
  page.querySelectorAll("br").forEach((one) => one.replaceWith("\n"));
  page.querySelectorAll(BLOCKS).forEach((one) => {
    one.prepend("\n");
    one.append("\n");
  });
  return (page.body.textContent ?? "")
    .replace(/[^\S\n]+/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .replace(/\n{3,}/g, "\n\n");
}
