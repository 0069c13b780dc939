// Words for films, from what an editor types and from what files are called.

export function genresFrom(text: string): string[] {
  return [...new Set(text.split(",").map((each) => each.trim()).filter(Boolean))];
}

/** `the_long.meadow-2019.mp4` is probably called “The long meadow”. */
export function titleFromFile(name: string): string {
  const words = name
    .replace(/\.[^.]+$/, "")
    .replace(/[._]+/g, " ")
    .replace(/\s*-\s*/g, " ")
    .replace(/\b(1080p|720p|2160p|480p|4k|x26[45]|h\.?26[45]|web-?dl|bluray|\d{4})\b/gi, " ")
    .replace(/\s+/g, " ")
    .trim();
  const text = words || name;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
