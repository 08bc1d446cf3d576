import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { findPolicy } from "../policies/create.ts";
import { parseExpression, type PolicyExpression } from "./expression.ts";
import { policySource } from "./source.ts";

/** A file or URL that a policy's expression names. */
export interface PolicyPlace {
  /** Whether the policy itself lies there, or what one of its options reads. */
  readonly kind: "policy" | "option";
  /** The policy as it was written, or the name of the option. */
  readonly name: string;
  /** As a URL without detours; empty where the text is no place at all. */
  readonly href: string;
}

/** What an expression reaches for besides the registry. */
export interface PolicyReach {
  readonly places: readonly PolicyPlace[];
  /** Wrappers within wrappers; 1 where nothing is wrapped. */
  readonly depth: number;
}

/**
 * Lists the files and URLs that a policy's expression names, itself and in options.
 *
 * @throws {OptionError} If the expression is broken or names a policy that does not exist.
 *
 * @example
 * ```ts
 * import { policyReach } from "./places.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(policyReach("rerotate(snapkv)"), { places: [], depth: 2 });
 * const { places: [place] } = policyReach("judge_q(softTokens=/data/soft.safetensors)");
 * assertEquals([place?.name, place?.href], ["softTokens", "file:///data/soft.safetensors"]);
 * ```
 */
export function policyReach(expression: string): PolicyReach {
  return reachOf(parseExpression(expression));
}

function reachOf({ source, options, inner, second }: PolicyExpression): PolicyReach {
  const place = policySource(source);
  const own: readonly PolicyPlace[] = place === undefined
    ? []
    : place.kind === "name"
    ? optionPlaces(place.name, options)
    : [{ kind: "policy", name: source, href: place.url.href }];
  const wrapped = [inner, second].flatMap((one) => one ? [reachOf(one)] : []);
  return {
    places: [...own, ...wrapped.flatMap(({ places }) => places)],
    depth: 1 + Math.max(0, ...wrapped.map(({ depth }) => depth)),
  };
}

function optionPlaces(
  policy: string,
  options: Readonly<Record<string, unknown>>,
): readonly PolicyPlace[] {
  return findPolicy(policy).options.flatMap(({ name, type }): readonly PolicyPlace[] => {
    const value = options[name];
    if (!/\bpath\b/.test(type) || value === undefined || value === "untrained") return [];
    return [{ kind: "option", name, href: typeof value === "string" ? placeOf(value) : "" }];
  });
}

/**
 * Tells whether a place matches one of some patterns: in one, `*` stands for anything but a slash and
 * `**` for anything.
 *
 * @example
 * ```ts
 * import { placeMatcher } from "./places.ts";
 * import { assert } from "@std/assert";
 *
 * const matches = placeMatcher(["https://example.org/policies/*"]);
 * assert(matches("https://example.org/policies/mine.ts"));
 * assert(!matches("https://example.org/mine.ts"));
 * ```
 */
export function placeMatcher(patterns: readonly string[]): (href: string) => boolean {
  const permitted = patterns.map(patternOf);
  return (href) => permitted.some((pattern) => pattern.test(href));
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
