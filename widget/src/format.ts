// Times, durations and numbers in the visitor's language and time zone.
// Times are Unix seconds.

/** "5 minutes ago", "in 2 hours": in the largest unit that fits. */
export function relative(locale: string, at: number): string {
  const minutes = Math.round(at / 60 - Date.now() / 6e4);
  const hours = Math.trunc(minutes / 60);
  const days = Math.trunc(hours / 24);
  return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(
    days || hours || minutes,
    days ? "day" : hours ? "hour" : "minute",
  );
}

/** "22 Nov 2026, 14:00" to end; without the date when it is short and recent. */
export function absolute(locale: string, at: number, end?: number | null, short?: boolean): string {
  at *= 1e3;
  const format = new Intl.DateTimeFormat(locale, {
    dateStyle: short && Date.now() - at < 4e7 ? undefined : "medium",
    timeStyle: "short",
  });
  return end ? format.formatRange(at, end * 1e3) : format.format(at);
}

/** "99.98%"; never rounded up to more than it is. */
export const percent = (locale: string, value: number): string =>
  new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 2 }).format(
    Math.floor(Math.round(value * 1e4) / 100) / 1e4, // 99.57 * 100 is a little less than 9957
  );
