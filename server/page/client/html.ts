// @ts-types="./htm.d.ts"
import htm from "npm:htm@3.1.1";
import { h } from "npm:preact@11.2.0";

/** Elements as they would be written; texts in them stay texts. */
export const html = htm.bind(h);
