import { describe, expect, it } from "vitest";
import { configured, planned, room } from "../../src/pages/admin/plan";

describe("planned", () => {
  it("takes one prefix a line, with what an ISP tells of it", () => {
    const text = "20.4.0.0/16\n\n# a remark\nannounce 2a00:100::/32 as-path 64511 64999 med 20  # more\n+ 20.5.0.0/16 med 7\nwithdraw 20.1.0.0/16\n- 20.2.0.0/16\n";
    const { body, mistakes } = planned(text, "riverbank", "rack");
    expect(mistakes).toEqual([]);
    const told = { isp: "riverbank", site: "rack" };
    expect(body).toEqual({
      announce: [
        { prefix: "20.4.0.0/16", ...told, as_path: [], med: 0 },
        { prefix: "2a00:100::/32", ...told, as_path: [64511, 64999], med: 20 },
        { prefix: "20.5.0.0/16", ...told, as_path: [], med: 7 },
      ],
      withdraw: [
        { prefix: "20.1.0.0/16", ...told },
        { prefix: "20.2.0.0/16", ...told },
      ],
    });
  });

  it("takes paths as routers print them", () => {
    expect(planned("20.4.0.0/16 as-path [ 64511, 64999 ]", "a", "").body.announce[0]?.as_path).toEqual([64511, 64999]);
  });

  it.each(["nonsense", "announce", "20.4.0.0", "20.4.0.0/16 med x", "20.4.0.0/16 metric 5", "withdraw 20.4.0.0/16 med 5"])("%s is a mistake", (line) => {
    const { body, mistakes } = planned(`20.9.0.0/16\n${line}`, "a", "");
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toContain(line);
    expect(body.announce).toHaveLength(1);
  });
});

describe("configured", () => {
  const TOML = `
[network]
host = "0.0.0.0"
[steering.bgp]
asn = 64500
port = 1179
[[steering.sites]]
name = "rack"
zone = "eu"
label = "The rack"
latitude = 50.5
longitude = 8
[[steering.isps]]
name = "riverbank"
asn = 64511
routers = ["198.51.100.11"]
password = "s3cret"
allow = ["20.0.0.0/12"]
[steering.geographic]
blocks = { DE = ["198.51.100.0/24"] }
`;

  it("takes what moves viewers and nothing else", async () => {
    const { body, mistakes } = await configured(TOML);
    expect(mistakes).toEqual([]);
    expect(body).toEqual({
      announce: [],
      withdraw: [],
      sites: [{ name: "rack", zone: "eu", latitude: 50.5, longitude: 8 }],
      isps: [{ name: "riverbank", asn: 64511, allow: ["20.0.0.0/12"] }],
      asn: 64500,
      geographic: { blocks: { DE: ["198.51.100.0/24"] } },
    });
    expect(JSON.stringify(body)).not.toContain("s3cret");
  });

  it.each([
    ['[[steering.route]]\nprefix = "0.0.0.0/0"\nsites = ["dallas"]', "steering.route is no option; did you mean routes?"],
    ["[steering.bgp]\nas = 4", "steering.bgp.as is no option; did you mean asn?"],
    ['[[steering.sites]]\nname = "a"\n[[steering.sites]]\nname = "b"\nlatitdue = 1', "steering.sites[1].latitdue is no option; did you mean latitude?"],
    ['[[steering.isps]]\nname = "a"\nasn = 1\nfrom = "198.51.100.11"', "steering.isps[0].from is no option; known here: name, asn,"],
    ['[[steering.routes]]\nprefix = "::/0"\nsite = "a"', "steering.routes[0].site is no option; did you mean sites?"],
    ["[steering.geographic]\nblock = {}", "steering.geographic.block is no option; did you mean blocks?"],
    ["[steering]\nasn = 4\n[steering.bgp]\nasn = 4", "steering.asn is no option"],
    ["[sterring.bgp]\nasn = 4\n[steering.bgp]\nasn = 4", "sterring is no option; did you mean steering?"],
    ["[steering]\nbgp = 5", "steering.bgp is no table"],
    ["[steering]\ngeographic = []", "steering.geographic is no table"],
    ["[steering]\npoll_s = 0.5\n[steering.bgp]\nport = 1179\n[steering.health]\nrise = 3", "nothing of it is compared"],
    ["[[steering.sites", "no TOML"],
    ["asn = 1\nasn = 2", "no TOML"],
    ["", "nothing of it is compared"],
    ["steering = 5", "steering is no table"],
    ["[steering]\nsites = 5", "[[steering.sites]]"],
    ["[steering]\nroutes = [5]", "[[steering.routes]]"],
  ])("%j is a mistake", async (text, said) => {
    const { body, mistakes } = await configured(text);
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toContain(said);
    expect(body).toEqual({ announce: [], withdraw: [] });
  });

  it("tells all that is misspelt at once, and no value of it", async () => {
    const { mistakes } = await configured('[[steering.isps]]\nname = "a"\nasn = 1\npasword = "s3cret"\n[steering.bgp]\nas = 4\n[steering.rutes]');
    expect(mistakes).toHaveLength(3);
    expect(mistakes.join()).not.toContain("s3cret");
  });

  it("tells twenty mistakes and how many more there are", async () => {
    const { mistakes } = await configured("[[steering.routes]]\nprefx = 1\n".repeat(300));
    expect(mistakes).toHaveLength(21);
    expect(mistakes[20]).toBe("280 more mistakes");
  });

  it("takes every option that there is, and a whole file", async () => {
    const { mistakes } = await configured(`${TOML}\n[steering.health]\nanything = 1\n[[appliances]]\nid = "x"\n[[steering.routes]]\nprefix = "::/0"\nsites = ["rack"]`);
    expect(mistakes).toEqual([]);
  });
});

it.each([
  ["20.0.0.0/16", 65536, "65,536 addresses"],
  ["20.0.0.1/32", 1, "1 address"],
  ["2a00::/48", 65536, "65,536 /64s"],
  ["2a00::/64", 1, "1 /64"],
  ["2a00::/66", 0.25, "0.25 /64s"],
])("room of %s", (prefix, addresses, text) => {
  expect(room(prefix, addresses)).toBe(text);
});
