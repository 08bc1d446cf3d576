import { placeMatcher, policyReach } from "../../plugins/places.ts";
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
  const matches = placeMatcher(patterns);
  return (expression) => {
    const { places, depth } = policyReach(expression);
    if (depth > DEEPEST) throw refused(`it wraps more than ${DEEPEST} policies`, "nest fewer");
    const foreign = places.find(({ href }) => !matches(href));
    if (foreign?.kind === "policy") {
      throw refused(
        `'${foreign.name}' is not permitted here`,
        "use a policy by name, or start the server with --allow-policy",
      );
    }
    if (foreign) {
      throw refused(
        `its option '${foreign.name}' may not name a file or a URL here`,
        "leave it out, or start the server with --allow-policy",
      );
    }
  };
}

function refused(why: string, way: string): InvalidRequestError {
  return new InvalidRequestError(`Cannot use this policy: ${why}; ${way}`, {
    status: 403,
    param: "eviction.policy",
    code: "policy_not_permitted",
  });
}
