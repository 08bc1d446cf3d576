import { registry } from "../../policies/registry.ts";
import { SCRIPT, STYLE } from "./assets.ts";

/** What a browser may do with the page: run its own script, ask its own server, nothing else. */
const SECURITY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Answers `GET /`: a page to chat with. */
export function page(): Response {
  const policies = Object.values(registry).map(({ name, summary }) => ({ name, summary }));
  const data = JSON.stringify({ policies }).replaceAll("<", "\\u003c");
  return asset(
    "text/html",
    `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>kvjudge</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<body>
<div id="app"><noscript>This page shows answers with a script of its own; please allow it to run.</noscript></div>
<script type="application/json" id="data">${data}</script>
<script type="module" src="page.js"></script>
</body>
</html>
`,
  );
}

/** Answers `GET /page.js`. */
export function pageScript(): Response {
  return asset("text/javascript", SCRIPT);
}

/** Answers `GET /page.css`. */
export function pageStyle(): Response {
  return asset("text/css", STYLE);
}

function asset(type: string, body: string): Response {
  return new Response(body, {
    headers: {
      "content-type": `${type}; charset=utf-8`,
      "content-security-policy": SECURITY,
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin",
      "cache-control": "no-cache",
    },
  });
}
