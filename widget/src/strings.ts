// The widget's own words. English is built in; every other language is a
// small file beside the script, loaded when a widget first needs it.

import english from "./lang/en.json";

export type Strings = Record<keyof typeof english, string>;

export { english };

/** The languages there are files for, apart from English. */
const languages = /^(ar|de|es|fr|he|hi|it|ja|ko|nl|pl|pt|tr|uk|zh)\b/;

/** The language of ours that serves a locale such as pt-BR, or "en". */
export const language = (locale: string): string => languages.exec(locale)?.[0] || "en";

/** Loads a language; what cannot be had stays English. */
export const load = (host: string, code: string): Promise<Partial<Strings>> =>
  fetch(`${host}/-/widget/lang/${code}.json`)
    .then((response) => response.json())
    .catch(() => ({}));
