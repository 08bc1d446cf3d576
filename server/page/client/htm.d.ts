import type { h, VNode } from "npm:preact@11.2.0";

/** What is used of htm; its own types are of a CommonJS module. */
declare const htm: {
  bind(create: typeof h): (strings: TemplateStringsArray, ...values: readonly unknown[]) => VNode;
};
export default htm;
