import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseExpression, type PolicyExpression } from "../../plugins/expression.ts";
import { policySource } from "../../plugins/source.ts";
import { findPolicy } from "../../policies/create.ts";
import { InvalidRequestError } from "../http/request_error.ts";

/** Decides whether a request may use a policy; throws where it may not. */
export type PolicyPermit = (expression: string) => void;

/** Wrappers within wrappers; nobody needs so many. */
const DEEPEST = 8;

/**
 * Permits the registry's policies, and files and URLs that match a pattern: in one, `*` stands for
 * anything but a slash and `**` for anything. What a policy reads from a file is held to them too.
 *
 * @example
 * ```ts
 * import { policyPermit } from "./permit.ts";
 * import { assertThrows } from "@std/assert";
 *
 * const permit = policyPermit(["https://example.org/policies/*"]);
 * permit("rerotate(snapkv(window=8))");
 * permit("https://example.org/policies/mine.ts");
 * assertThrows(() => permit("https://example.org/policies/../mine.ts"));
 * assertThrows(() => permit("/etc/mine.ts"));
 * ```
 */
export function policyPermit(patterns: readonly string[]): PolicyPermit {
  const permitted = patterns.map(patternOf);
  const matches = (href: string) => permitted.some((pattern) => pattern.test(href));
  const check = (expression: PolicyExpression, depth: number): void => {
    if (depth > DEEPEST) {
      throw refused(`it wraps more than ${DEEPEST} policies`, "nest fewer");
    }
    const place = policySource(expression.source);
    if (place && place.kind !== "name" && !matches(place.url.href)) {
      throw refused(
        `'${expression.source}' is not permitted here`,
        "use a policy by name, or start the server with --allow-policy",
      );
    }
    if (place?.kind === "name") checkFiles(place.name, expression.options);
    for (const inner of [expression.inner, expression.second]) if (inner) check(inner, depth + 1);
  };
  const checkFiles = (name: string, options: Readonly<Record<string, unknown>>): void => {
    for (const { name: option, type } of findPolicy(name).options) {
      const value = options[option];
      if (!/\bpath\b/.test(type) || value === undefined || value === "untrained") continue;
      const href = typeof value === "string" ? placeOf(value) : "";
      if (!matches(href)) {
        throw refused(
          `its option '${option}' may not name a file or a URL here`,
          "leave it out, or start the server with --allow-policy",
        );
      }
    }
  };
  return (expression) => check(parseExpression(expression), 1);
}

function refused(why: string, way: string): InvalidRequestError {
  return new InvalidRequestError(`Cannot use this policy: ${why}; ${way}`, {
    status: 403,
    param: "eviction.policy",
    code: "policy_not_permitted",
  });
}

/** A place as a URL without detours. */
function placeOf(text: string): string {
  if (/^[a-z][a-z\d+.-]+:/i.test(text)) return URL.canParse(text) ? new URL(text).href : "";
  return pathToFileURL(resolve(text)).href;
}

function patternOf(pattern: string): RegExp {
  const [fixed = ""] = pattern.split("*", 1);
  const wild = pattern.slice(fixed.length);
  const start = placeOf(fixed) + (fixed.endsWith("/") && !placeOf(fixed).endsWith("/") ? "/" : "");
  const end = wild.split(/(\*\*|\*)/).map((part) =>
    part === "**" ? ".*" : part === "*" ? "[^/]*" : escaped(part)
  );
  return new RegExp(`^${escaped(start)}${end.join("")}$`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
