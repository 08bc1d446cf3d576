import { escapeMarkup as escapeHtml } from "./escape.ts";
import { PAGE_STYLE } from "./page_style.ts";

/** A part of a report. Texts are plain: renderers escape them. */
export type Block =
  | { readonly kind: "heading"; readonly level: 1 | 2 | 3; readonly text: string }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | {
    readonly kind: "table";
    /** The first row holds the titles of the columns. */
    readonly rows: readonly (readonly string[])[];
    /** Cells that stand out, as "row,column". */
    readonly best?: ReadonlySet<string>;
    /** Whether cells hold words instead of numbers. @default {"numbers"} */
    readonly align?: "text" | "numbers";
    /** The line that stands for the table until it is opened. */
    readonly folded?: string;
  }
  | {
    readonly kind: "figure";
    readonly file: string;
    /** What it shows, for those who do not see it. */
    readonly text: string;
    readonly svg: string;
  };

/** Renders blocks as Markdown; figures are linked as files beside it. */
export function toMarkdown(blocks: readonly Block[]): string {
  return `${blocks.map(markdownOf).join("\n\n")}\n`;
}

function markdownOf(block: Block): string {
  switch (block.kind) {
    case "heading":
      return `${"#".repeat(block.level)} ${escapeMarkdown(block.text)}`;
    case "text":
      return escapeMarkdown(block.text);
    case "code":
      return `\`\`\`\n${block.text.replaceAll("```", "` ` `")}\n\`\`\``;
    case "table":
      return markdownTable(block);
    case "figure":
      return `![${escapeMarkdown(block.text)}](${block.file})`;
  }
}

type Table = Extract<Block, { kind: "table" }>;

function markdownTable({ rows, best, align, folded }: Table): string {
  const lines = rows.map((row, at) => {
    const cells = row.map((cell, column) => {
      const text = escapeMarkdown(cell);
      return best?.has(`${at},${column}`) ? `**${text}**` : text;
    });
    return `| ${cells.join(" | ")} |`;
  });
  const rule = (rows[0] ?? []).map((_, column) =>
    column === 0 || align === "text" ? "---" : "---:"
  );
  const table = [lines[0], `| ${rule.join(" | ")} |`, ...lines.slice(1)].join("\n");
  return folded === undefined
    ? table
    : `<details><summary>${escapeHtml(folded)}</summary>\n\n${table}\n\n</details>`;
}

/** What Markdown, and the HTML within it, would not show as it stands. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_[\]<>|#&~]/g, "\\$&").replaceAll("\n", " ");
}

/** Renders blocks as one page that asks for nothing else. */
export function toHtml(title: string, blocks: readonly Block[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
${blocks.map(htmlOf).join("\n")}
</main>
</body>
</html>
`;
}

function htmlOf(block: Block): string {
  switch (block.kind) {
    case "heading":
      return `<h${block.level}>${escapeHtml(block.text)}</h${block.level}>`;
    case "text":
      return `<p>${escapeHtml(block.text)}</p>`;
    case "code":
      return `<pre><code>${escapeHtml(block.text)}</code></pre>`;
    case "table":
      return htmlTable(block);
    case "figure":
      return `<figure tabindex="0">${block.svg}<figcaption>${
        escapeHtml(block.text)
      }</figcaption></figure>`;
  }
}

function htmlTable({ rows, best, align, folded }: Table): string {
  const [head = [], ...body] = rows;
  const titles = head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join("");
  const lines = body.map((row, at) => {
    const cells = row.map((cell, column) => {
      const text = escapeHtml(cell);
      if (column === 0) return `<th scope="row">${text}</th>`;
      return best?.has(`${at + 1},${column}`)
        ? `<td><strong>${text}</strong></td>`
        : `<td>${text}</td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  const kind = align === "text" ? "table words" : "table";
  const table = `<div class="${kind}"><table><thead><tr>${titles}</tr></thead>\n<tbody>${
    lines.join("\n")
  }</tbody></table></div>`;
  return folded === undefined
    ? table
    : `<details><summary>${escapeHtml(folded)}</summary>${table}</details>`;
}
