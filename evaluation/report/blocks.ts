/** A part of a report. Texts are plain: whoever renders them escapes them. */
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

function markdownTable({ rows, best }: Extract<Block, { kind: "table" }>): string {
  const lines = rows.map((row, at) => {
    const cells = row.map((cell, column) => {
      const text = escapeMarkdown(cell);
      return best?.has(`${at},${column}`) ? `**${text}**` : text;
    });
    return `| ${cells.join(" | ")} |`;
  });
  const rule = (rows[0] ?? []).map((_, column) => column === 0 ? "---" : "---:");
  return [lines[0], `| ${rule.join(" | ")} |`, ...lines.slice(1)].join("\n");
}

/** What Markdown, and the HTML within it, would not show as it stands. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_[\]<>|#]/g, "\\$&").replaceAll("\n", " ");
}

/** Renders blocks as one page that asks for nothing else. */
export function toHtml(title: string, blocks: readonly Block[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
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
      return `<figure role="img" aria-label="${escapeHtml(block.text)}">${block.svg}</figure>`;
  }
}

function htmlTable({ rows, best }: Extract<Block, { kind: "table" }>): string {
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
  return `<div class="table"><table><thead><tr>${titles}</tr></thead>\n<tbody>${
    lines.join("\n")
  }</tbody></table></div>`;
}

function escapeHtml(text: string): string {
  const codes: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => codes[character] ?? character);
}

const STYLE = `
:root { color-scheme: light dark; --line: #d5d5d5; --page: #fff; --text: #1d1d1f; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --page: #18191b; --text: #e8e8e8; } }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; background: var(--page); color: var(--text); }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; }
tbody th { font-weight: normal; }
figure { margin: 1rem 0; background: #fff; border-radius: .4rem; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; }
`;
