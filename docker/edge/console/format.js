/** Money, times and words as people read them. */
import { h } from "./dom.js";

/** @typedef {{amount: string, currency: string}} Money */

const LOCALE = navigator.language;
const DECIMALS_MAX = 6;

/** @type {Map<string, Intl.NumberFormat>} */
const FORMATS = new Map();

/** A format of numbers, made once for each name: a page with 1,000 lines would wait seconds for as many new ones. @param {string} name @param {Intl.NumberFormatOptions} [options] */
function formatOf(name, options) {
  const known = FORMATS.get(name) ?? new Intl.NumberFormat(LOCALE, options);
  FORMATS.set(name, known);
  return known;
}

/** @param {string} amount */
function decimalsOf(amount) {
  return Math.min((amount.split(".")[1] ?? "").length, DECIMALS_MAX);
}

/** An exact amount with its currency, with no fewer decimals than the currency has; a dash without one. @param {Money | null | undefined} money */
export function money(money) {
  if (!money) return "–";
  const style = /** @type {const} */ ({ style: "currency", currency: money.currency });
  const usual = formatOf(money.currency, style).resolvedOptions().minimumFractionDigits ?? 0;
  const digits = Math.max(usual, decimalsOf(money.amount));
  const format = formatOf(`${money.currency} ${digits}`, { ...style, minimumFractionDigits: digits, maximumFractionDigits: digits });
  return format.format(/** @type {any} */ (money.amount)); // a text is formatted exactly, a number might not be
}

/** The sums by currency, exact. @param {readonly (Money | null | undefined)[]} amounts @returns {Money[]} */
export function sums(amounts) {
  /** @type {Map<string, {digits: number, units: bigint}>} */
  const found = new Map();
  for (const each of amounts) {
    if (!each) continue;
    const digits = decimalsOf(each.amount);
    const sum = found.get(each.currency) ?? { digits, units: 0n };
    const wide = Math.max(sum.digits, digits);
    const units = scaled(each.amount, wide) + sum.units * 10n ** BigInt(wide - sum.digits);
    found.set(each.currency, { digits: wide, units });
  }
  return [...found].map(([currency, { digits, units }]) => ({ currency, amount: asText(units, digits) }));
}

/** What is left of an amount. @param {Money} from @param {Money | null | undefined} taken @returns {Money} */
export function less(from, taken) {
  if (!taken) return from;
  const negative = taken.amount.startsWith("-") ? taken.amount.slice(1) : `-${taken.amount}`;
  return sums([from, { ...taken, amount: negative }])[0] ?? from;
}

/** Whether an amount is nothing. @param {Money | null | undefined} money */
export function isZero(money) {
  return !money || /^-?[0.]*$/.test(money.amount);
}

/** @param {string} amount @param {number} digits */
function scaled(amount, digits) {
  const [whole = "0", part = ""] = amount.replace("-", "").split(".");
  const units = BigInt(whole + part.slice(0, digits).padEnd(digits, "0"));
  return amount.startsWith("-") ? -units : units;
}

/** @param {bigint} units @param {number} digits */
function asText(units, digits) {
  const text = String(units < 0n ? -units : units).padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits);
  return (units < 0n ? "-" : "") + (digits ? `${whole}.${text.slice(-digits)}` : whole);
}

/** @param {number} value */
export function number(value) {
  return formatOf("number").format(value);
}

/** A share from 0 to 1 in percent. @param {string | number} share */
export function percent(share) {
  return formatOf("percent", { style: "percent", maximumFractionDigits: 1 }).format(Number(share));
}

const MOMENT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium" });

/** An instant in the zone of the reader; the tooltip has the instant in UTC. @param {string | null | undefined} at @param {{exact?: boolean}} [options] */
export function time(at, options = {}) {
  if (!at) return "–";
  return h("time", { datetime: at, title: at }, (options.exact ? EXACT : MOMENT).format(new Date(at)));
}

/** A span in words. @param {number} seconds */
export function span(seconds) {
  if (seconds < 0.001) return "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return parts(Math.round(seconds), 60, "min", "s");
  if (seconds < 86_400) return parts(Math.round(seconds / 60), 60, "h", "min");
  return parts(Math.round(seconds / 3600), 24, "d", "h");
}

/** @param {number} units @param {number} base @param {string} large @param {string} small */
function parts(units, base, large, small) {
  return `${Math.floor(units / base)} ${large} ${units % base} ${small}`;
}

/** A name of the interface as words: `refund_pending` is "Refund pending". @param {string} name */
export function words(name) {
  const text = name.replaceAll(/[_-]/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** One or several: "1 order", "2 orders". @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

const REGIONS = new Intl.DisplayNames([LOCALE], { type: "region", fallback: "code" });

/** The name of a country. @param {string | null | undefined} code */
export function country(code) {
  if (!code) return "–";
  return /^[A-Z]{2}$/.test(code) ? (REGIONS.of(code) ?? code) : code;
}
