"""Topics of the instruction-following generator, written for this project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """Something to write a few sentences about.

    Attributes:
        request: what is asked for.
        words: three words an answer is likely to use; the last one may be forbidden, the first ones demanded.
    """

    request: str
    words: tuple[str, str, str]


_TABLE = """
Describe a rainy street. | rain umbrella water
Tell me about the moon. | moon night light
Explain what a library is. | books reading quiet
Describe your favourite kind of soup. | soup hot vegetables
Give advice on sleeping well. | sleep bed night
Write about a walk in the forest. | forest trees green
Explain why people drink tea. | tea warm leaves
Describe a busy market. | market fruit people
Tell me about honey bees. | bees honey flowers
Write about a train journey. | train window station
Explain what a bridge does. | bridge river road
Describe a quiet beach. | beach sand waves
Give a tip for saving money. | money save spend
Tell me about elephants. | elephants trunk large
Write about a lost key. | key door pocket
Explain how to plant a tree. | tree soil dig
Describe a winter morning. | winter snow cold
Tell me about the violin. | violin music strings
Write about an old clock. | clock time hands
Explain why we brush our teeth. | teeth brush clean
Describe a birthday party. | birthday cake friends
Give advice to a new cook. | cook kitchen food
Tell me about mountains. | mountains high rock
Write about a letter from a friend. | letter friend paper
Explain what a map is for. | map road find
Describe a small village. | village houses church
Tell me about dolphins. | dolphins ocean swim
Write about learning to ride a bicycle. | bicycle ride wheels
Explain what a doctor does. | doctor health patients
Describe a garden in spring. | garden flowers birds
Give a reason to read more. | read books learn
Tell me about chocolate. | chocolate sweet sugar
Write about a boat on a lake. | boat lake water
Explain how wind is used. | wind energy power
Describe the kitchen of a restaurant. | kitchen chef food
Tell me about penguins. | penguins ice birds
Write about a broken window. | window glass ball
Explain what a teacher does. | teacher students school
Describe a night sky. | sky stars dark
Give a tip for packing a bag. | bag clothes light
Tell me about coffee. | coffee beans cup
Write about a shy dog. | dog shy friend
Explain why exercise is good. | exercise body health
Describe a castle on a hill. | castle hill stone
Tell me about butterflies. | butterflies wings colour
Write about a game of chess. | chess king board
Explain what a firefighter does. | fire water brave
Describe a field of sunflowers. | sunflowers yellow petals
Give advice on making friends. | friends kind talk
Tell me about bread. | bread flour oven
Write about a hidden door. | door room secret
Explain how rivers form. | river rain mountain
Describe a street musician. | music guitar coins
Tell me about owls. | owls night eyes
Write about a long bridge in fog. | bridge fog cars
Explain what a recipe is. | recipe steps food
Describe a storm at sea. | storm sea ship
Give a tip for learning a language. | language words practice
Tell me about lemons. | lemons sour yellow
Write about a red balloon. | balloon red sky
Explain why sleep matters. | sleep rest brain
Describe a train station. | station platform people
Tell me about the desert. | desert sand dry
Write about a painter and a wall. | painter colour brush
Explain what a bank does. | bank money save
Describe a picnic in a park. | picnic park grass
Give advice on writing a story. | story characters write
Tell me about cats. | cats fur sleep
Write about a forgotten song. | song voice memory
Explain how to wash dishes. | dishes soap water
Describe a snowman. | snow hat carrot
Tell me about volcanoes. | volcano lava hot
Write about a slow turtle. | turtle slow shell
Explain what a passport is. | passport travel country
Describe an autumn leaf. | leaf red wind
Give a tip for staying calm. | calm breathe slow
Tell me about the piano. | piano keys music
Write about a shop that sells hats. | hats shop colour
Explain how plants drink. | plants roots water
Describe a lighthouse. | lighthouse light sea
Tell me about cheese. | cheese milk taste
Write about a robot in a garden. | robot garden flowers
Explain what a judge does. | law court fair
Describe a fireplace. | fire warm wood
Give advice on keeping promises. | promise trust friend
Tell me about whales. | whales ocean big
Write about a bus that is late. | bus late wait
Explain why we recycle. | recycle plastic earth
Describe a football match. | football goal team
Tell me about apples. | apples tree red
Write about a message in a bottle. | bottle message sea
Explain what a museum is. | museum art history
Describe a mountain hut. | hut mountain wood
Give a tip for taking photos. | photo light camera
Tell me about horses. | horses run strong
Write about a baker at dawn. | baker bread flour
Explain how a candle works. | candle wax flame
Describe a crowded lift. | lift people floor
Tell me about rice. | rice water food
Write about two brothers and a kite. | kite wind string
"""


def _topic(line: str) -> Topic:
    request, words = line.split(" | ")
    demanded, also, last = words.split()
    return Topic(request, (demanded, also, last))


TOPICS: tuple[Topic, ...] = tuple(_topic(line) for line in _TABLE.strip().splitlines())
"""A hundred topics."""
