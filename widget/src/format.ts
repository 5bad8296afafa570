// Times, durations and numbers in the visitor's language and time zone.

/** A locale that Intl accepts: the one given, or English. */
export function safe(locale: string): string {
  try {
    return Intl.getCanonicalLocales(locale)[0] || "en";
  } catch {
    return "en";
  }
}

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

/** The largest unit that fits a number of seconds, and how many of it. */
function scale(seconds: number): [Intl.RelativeTimeFormatUnit, number] {
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) || units[2];
  return [unit, Math.trunc(seconds / size)];
}

/** "5 minutes ago", "in 2 hours"; at is in Unix seconds. */
export function relative(locale: string, at: number): string {
  const [unit, count] = scale(at - Date.now() / 1e3);
  return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(count, unit);
}

/** "12 days" */
export function duration(locale: string, seconds: number): string {
  const [unit, count] = scale(seconds);
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(count);
}

/** "22 Nov 2026, 14:00", to a second time where there is one. */
export function absolute(locale: string, from: number, to?: number | null): string {
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  return to ? format.formatRange(from * 1e3, to * 1e3) : format.format(from * 1e3);
}

/** "14:02", or with its date when that is not today; at is in Unix seconds. */
export function clock(locale: string, at: number): string {
  const today = new Date(at * 1e3).toDateString() === new Date().toDateString();
  return today
    ? new Intl.DateTimeFormat(locale, { timeStyle: "short" }).format(at * 1e3)
    : absolute(locale, at);
}

/** "99.98%"; never rounded up to more than it is. */
export function percent(locale: string, value: number): string {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 2 }).format(
    Math.floor(value * 100) / 1e4,
  );
}
