/// The page: one file, which needs nothing from anywhere else.
enum FleetPage {
    static var html: String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>Drover</title>
        <style>\(self.style)</style>
        </head>
        <body>
        <header><h1>Drover</h1><p id="summary">connecting</p></header>
        <main>
        <section id="zones" aria-label="Clusters on nodes"></section>
        <h2>What moves, and what is in the way</h2>
        <table><thead><tr><th>Cluster</th><th>What</th><th>Why</th></tr></thead><tbody id="matters"></tbody></table>
        <h2>Last changes of primary</h2>
        <table><thead><tr><th>Cluster</th><th>When</th><th>What</th><th>Writes stood still</th></tr></thead>
        <tbody id="gaps"></tbody></table>
        </main>
        <script>\(self.script)</script>
        </body>
        </html>

        """
    }

    static let style = """
        :root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif }
        body { margin: 0 auto; max-width: 90rem; padding: 1rem }
        header { display: flex; gap: 1rem; align-items: baseline }
        h1 { font-size: 1.3rem; margin: 0 } h2 { font-size: 1rem; margin: 1.5rem 0 .3rem }
        #zones { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start }
        .zone { border: 1px solid #8886; border-radius: 6px; padding: .5rem; flex: 1 1 18rem }
        .zone > h3, .node > h4 { margin: 0 0 .3rem; font-size: .9rem; font-weight: 600 }
        .node { border-left: 5px solid #2a9d5c; padding: .3rem .5rem; margin-bottom: .5rem; background: #8881 }
        .node.rank1 { border-color: #d0a000 } .node.rank2 { border-color: #e07000 } .node.rank3 { border-color: #d03030 }
        .chip { display: inline-block; border: 1px solid #4477aa; border-radius: 3px; padding: 0 .3rem; margin: 1px }
        .chip.primary { background: #4477aa; color: #fff } .chip.down { border-style: dashed; opacity: .6 }
        .chip.moving { outline: 2px solid #e07000 }
        table { border-collapse: collapse; width: 100% }
        th, td { text-align: left; padding: .15rem .5rem; border-bottom: 1px solid #8883; vertical-align: top }
        """

    static let script = """
        "use strict";
        const element = (tag, text, className) => {
          const made = document.createElement(tag);
          if (text !== undefined) made.textContent = text;
          if (className) made.className = className;
          return made;
        };
        const fill = (id, children) => document.getElementById(id).replaceChildren(...children);
        const row = (cells) => { const made = element("tr"); made.append(...cells.map(c => element("td", c))); return made; };
        const ranks = ["fresh", "old", "announced", "leaving"];
        const condition = (cluster, type) => cluster.conditions.find(c => c.type === type);
        function picture(fleet) {
          const onNode = new Map();
          for (const cluster of fleet.clusters) for (const instance of cluster.instances) {
            const node = instance.node || "";
            if (!onNode.has(node)) onNode.set(node, []);
            onNode.get(node).push([cluster, instance]);
          }
          const nodes = [...fleet.nodes];
          if (onNode.has("")) nodes.push({name: "", zone: "", rank: 0});
          const zones = new Map();
          for (const node of nodes) {
            const card = element("div", undefined, "node rank" + node.rank);
            card.append(element("h4", (node.name || "on no node") + (node.name ? " (" + ranks[node.rank] + ")" : "")));
            for (const [cluster, instance] of onNode.get(node.name) || []) {
              const moves = cluster.transition
                && (cluster.transition.from === instance.name || cluster.transition.to === instance.name);
              const chip = element("span", instance.name, "chip" + (instance.role === "primary" ? " primary" : "")
                + (instance.ready ? "" : " down") + (moves ? " moving" : ""));
              chip.title = cluster.namespace + "/" + cluster.name + ", " + (instance.role || "no role yet")
                + (instance.ready ? "" : ", not ready");
              card.append(chip);
            }
            if (!zones.has(node.zone)) zones.set(node.zone, []);
            zones.get(node.zone).push(card);
          }
          return [...zones].map(([zone, cards]) => {
            const box = element("div", undefined, "zone");
            box.append(element("h3", zone || "no zone"), ...cards);
            return box;
          });
        }
        function show(fleet) {
          if (!fleet) { fill("summary", ["this process does not lead; ask the other one"]); return; }
          const matters = [], gaps = [];
          let moving = 0;
          for (const cluster of fleet.clusters) {
            const name = cluster.namespace + "/" + cluster.name, change = cluster.transition;
            if (change) {
              moving++;
              matters.push(row([name, change.kind + " " + change.from + " to " + (change.to || "?") + ": " + change.phase,
                change.reason]));
            }
            const eviction = condition(cluster, "ReadyForEviction"), degraded = condition(cluster, "Degraded");
            if (eviction && !eviction.isTrue && !change)
              matters.push(row([name, "primary cannot leave its node", eviction.reason + ": " + eviction.message]));
            if (degraded && degraded.isTrue) matters.push(row([name, "degraded", degraded.reason + ": " + degraded.message]));
            if (cluster.last) gaps.push([cluster.last.finishedAt, name, cluster.last]);
          }
          gaps.sort((a, b) => a[0] < b[0] ? 1 : -1);
          fill("summary", [fleet.clusters.length + " clusters on " + fleet.nodes.length + " nodes, " + moving + " move"]);
          fill("zones", picture(fleet));
          fill("matters", matters.length ? matters.slice(0, 200) : [row(["none", "", ""])]);
          fill("gaps", gaps.slice(0, 50).map(([at, name, last]) => row([name, at,
            last.kind + " " + last.from + " to " + last.to + ": " + last.reason,
            last.writeGapMilliseconds === undefined ? "not measured" : last.writeGapMilliseconds + " ms"])));
        }
        const source = new EventSource("fleet/events");
        source.onmessage = event => show(JSON.parse(event.data));
        source.onerror = () => fill("summary", ["no connection to the operator; trying again"]);
        """
}
