"""Reading beside an owner that commits all the time: one state, never a mixture."""

import collections

from .command import Case, OK
from .owner import Owner

SIZE = 50000


class LiveTest(Case):
    def test_readers_see_whole_commits(self):
        self.create("--blob", "a:t:64K")
        seen = collections.Counter()
        with Owner(self, self.image, "a", SIZE) as owner:
            owner.commit("A")
            owner.spin()
            generation = 0
            for _ in range(40):
                content = self.vnvram("get", self.image, "a")
                self.assertEqual(len(content), SIZE)
                self.assertEqual(len(set(content)), 1, "bytes of several commits")
                seen[content[:1]] += 1
                now = self.json("info", self.image)["generation"]
                self.assertGreaterEqual(now, generation, "went back in time")
                generation = now
                self.assertEqual(self.blob("a")["size_bytes"], SIZE)
        self.assertGreater(len(seen), 1, "the owner did not commit meanwhile")
        self.vnvram("check", self.image)

    def test_check_and_dump_beside_an_owner_find_nothing_wrong(self):
        self.create("--blob", "a:t:64K")
        with Owner(self, self.image, "a", SIZE) as owner:
            owner.commit("A")
            owner.spin()
            for _ in range(15):
                self.vnvram("check", self.image, status=OK)
                dump = self.json("dump", self.image)
                self.assertTrue(all(item["valid"] for item in dump["table"] + dump["directory"]))

    def test_what_was_acknowledged_survives_the_owner(self):
        self.create("--blob", "a:t:64K")
        for letter in "ABCDEF":
            with Owner(self, self.image, "a", SIZE) as owner:
                owner.commit(letter)
                owner.kill()
            self.assertEqual(self.vnvram("get", self.image, "a"), letter.encode() * SIZE)
            self.assertFalse(self.json("info", self.image)["clean"])
