// The widget's own words. English is built in; every other language is a
// small file beside the script, loaded when a widget first needs it.

import english from "./lang/en.json";

export type Strings = Record<keyof typeof english, string>;

export { english };

/** The languages there are files for, apart from English. */
const languages = "ar de es fr he hi it ja ko nl pl pt tr uk zh".split(" ");

const loaded = new Map<string, Promise<Partial<Strings>>>();

/** The language of ours that serves a locale such as pt-BR, or "en". */
export function language(locale: string): string {
  const code = locale.toLowerCase().split(/[-_]/)[0];
  return languages.includes(code) ? code : "en";
}

/** Loads a language; what cannot be had is left English. */
export function load(host: string, code: string): Promise<Partial<Strings>> {
  const url = `${host}/-/widget/lang/${code}.json`;
  let strings = loaded.get(url);
  if (!strings) {
    strings = fetch(url, { credentials: "omit" })
      .then((response) => (response.ok ? response.json() : {}))
      .catch(() => {
        loaded.delete(url); // another widget may have more luck
        return {};
      });
    loaded.set(url, strings);
  }
  return strings;
}
