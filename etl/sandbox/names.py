"""Words for a made-up catalogue: parts of artist names, titles in many scripts, genres, labels.

Every part is a common given name, family name or word; the artists made of them are nobody.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Culture:
    """What the music of one place is called. ``country`` is where its ISRC come from."""

    country: str
    given: tuple[str, ...]
    family: tuple[str, ...]
    genres: tuple[str, ...]
    titles: tuple[str, ...]


def _culture(country: str, given: str, family: str, genres: str, titles: str) -> Culture:
    parts = (tuple(part.strip() for part in words.split(",")) for words in (given, family, genres, titles))
    return Culture(country, *parts)


CULTURES = (
    _culture(
        "NG",
        "Adébáyọ̀, Folákẹ́, Ṣadé, Títílayọ̀, Babátúndé, Damilola, Ayọ̀délé, Morẹ́nikẹ́, Kúnlé, Yéwándé",
        "Adéwálé, Ògúnlẹ́yẹ, Oyèdélé, Akíntọ́lá, Balógun, Fálọlá, Olánrewájú, Ọláiyá",
        "Afrobeats, Afropop, Fuji, Juju, Gospel, Hip Hop",
        "Ìfẹ́ Mi, Ọmọ Ọba, Àánú Rẹ, Ayọ̀ Mi, Orí Ire, Ẹ Ṣé Olúwa, Lagos Traffic, No Wahala, E Don Set, Body Dey Whine,"
        " Small Small, Worthy Is the Name, Dákẹ́, Ìyá Mi Ọ̀wọ́n",
    ),
    _culture(
        "NG",
        "Chidinma, Emeka, Ngozi, Ụzọma, Ifeanyi, Adaeze, Obinna, Nkechi, Kelechi, Ọlanna",
        "Okonkwo, Eze, Nwosu, Ọkafọ, Anyanwu, Ụzọ, Ibekwe, Nnamdi",
        "Highlife, Afrobeats, Gospel, R&B",
        "Obi M, Chi M Anọ Ya, Ụwa Ọma, Nne Ọma, Daalụ, Enugu Nights, Ije Ụwa, Ka Anyị Gbaa Egwu, Sweet Palm Wine",
    ),
    _culture(
        "GH",
        "Kwame, Abena, Kojo, Efua, Yaw, Akosua, Kwabena, Adwoa, Ekow, Mawuli",
        "Asante, Boateng, Owusu, Mensah, Ɔsei, Agyeman, Dɔgbe, Quaye",
        "Highlife, Hiplife, Afrobeats, Gospel",
        "Me Dɔ Wo, Sika Kɔkɔɔ, Nyame Adom, Yɛn Ara, Accra by Night, Ɛyɛ Dɛ, Akwaaba, Azonto Sunday, Da Mo Ase",
    ),
    _culture(
        "KE",
        "Wanjiru, Otieno, Kamau, Achieng, Njeri, Kiprono, Mũthoni, Baraka, Zawadi, Omondi",
        "Mwangi, Odhiambo, Kĩmani, Chebet, Wafula, Ndung'u, Karanja, Auma",
        "Gengetone, Benga, Gospel, Hip Hop, Afropop",
        "Mtaa Yetu, Tunawaka, Nairobi Asubuhi, Nĩngwendete, Ero Kamano, Matatu Moja, Morning Mercy, Form Ni Leo",
    ),
    _culture(
        "TZ",
        "Juma, Rehema, Hamisi, Zuhura, Salum, Mwanaidi, Bakari, Neema, Shabani, Tumaini",
        "Mwakasege, Kisanga, Massawe, Mrisho, Lyimo, Mbwana, Nyoni, Shayo",
        "Bongo Flava, Singeli, Taarab, Gospel",
        "Moyo Wangu, Nakupenda Sana, Usiku wa Leo, Mapenzi Matamu, Safari Ndefu, Baba Yangu, Raha Tupu, Pwani Yetu",
    ),
    _culture(
        "ZA",
        "Thabo, Nomvula, Sipho, Lerato, Zanele, Mandla, Naledi, Bongani, Ayanda, Kagiso",
        "Dlamini, Mokoena, Nkosi, Khumalo, Molefe, Zulu, Mabaso, Sithole",
        "Amapiano, Gqom, Kwaito, Afro House, Gospel",
        "Inhliziyo Yami, Siyabonga, Umoya, Ilanga Liphumile, Piano Ye Number, Pretoria Log Drum, Sgubhu Sami, Lerato La Me",
    ),
    _culture(
        "ET",
        "Selam, Dawit, Hiwot, Yonas, ሰላም, ዳዊት, ሕይወት, Meron, Tsion, ዮናስ",
        "Tadesse, Bekele, ታደሰ, Girma, በቀለ, Worku, Alemu, Desta",
        "Ethio-jazz, Tizita, Eskista, Gospel",
        "ፍቅር, ሀገሬ, አዲስ ቀን, የኔ ቆንጆ, ሰላም ለኪ, ናፍቆት, Addis Rain, እናቴ, ዝናብ",
    ),
    _culture(
        "CD",
        "Merveille, Christian, Naomie, Trésor, Béatrice, Dieudonné, Grâce, Fiston, Plamedi, Rachidi",
        "Mbuyi, Kabongo, Ilunga, Tshibangu, Lukusa, Mukendi, Kalala, Ngoy",
        "Rumba, Soukous, Ndombolo, Gospel",
        "Bolingo Na Ngai, Mokili, Kinshasa Makambo, Tika Nabina, Motema, Nzambe Malamu, Liwa Te, Mwana Mboka",
    ),
    _culture(
        "CI",
        "Aïssata, Moussa, Mariam, Ibrahim, Awa, Sékou, Adjoua, Kouadio, Ndèye, Modou",
        "Koné, Touré, Coulibaly, Kouassi, N'Guessan, Diallo, Ndoye, Bâ",
        "Coupé-Décalé, Zouglou, Mbalax, Afropop, Rap Ivoire",
        "Mon Cœur Balance, Été à Abidjan, Sans Façon, Ça Va Aller, Sama Xol, Jërëjëf Yaay, Dëgg La, C'est Déjà Noël",
    ),
    _culture(
        "EG",
        "Yasmin, Karim, Nour, ياسمين, كريم, نور, Hassan, Mona, حسن, منى",
        "Mansour, منصور, Farouk, فاروق, El-Sayed, السيد, Shahin, شاهين",
        "Mahraganat, Shaabi, Arabic Pop",
        "قلبي معاك, ليلة في القاهرة, يا نيل, حبيبي فين, صباح الخير, على البحر, Cairo Lights, سهران",
    ),
    _culture(
        "AO",
        "Edmilson, Conceição, Nelson, Tânia, Adão, Luísa, Zé, Marisa",
        "dos Santos, Fortunato, Quissanga, Évora, Gonçalves, Cassule",
        "Kizomba, Kuduro, Semba, Morna",
        "Coração de Mãe, Saudade de Luanda, Não Vás, Sodade Nha Terra, Amanhã, Pé na Areia, Kandengue",
    ),
)
STAGE_NAMES = (
    "{given} {family}",
    "{given} {family}",
    "{given} {family}",
    "{given}",
    "DJ {given}",
    "{family} Brothers",
    "{given} & the {family} Band",
    "{given} {family} Choir",
    "MC {family}",
    "{given}-{given}",
)
TITLE_ENDS = (
    " (Remix)",
    " (Live in Accra)",
    " - Acoustic",
    " 🔥",
    " 【Official Audio】",
    "（现场版）",
    " 🇳🇬❤️",
    " (非洲之夜 Mix)",
    " Pt. II",
    ' "Radio Edit"',
)
ALBUM_ENDS = ("", "", "", " EP", " (Deluxe)", " – Vol. 2", " The Album", "：精选")
ALBUM_TYPES = ("Album", "EP", "Single")
LABELS = ("Baobab Sounds", "Harmattan Records", "Blue Lagoon Music", "Ọ̀kín Records", "Série Noire Musique", "")
PLAYLIST_TITLES = (
    "Naija Morning, Amapiano & Chill, Sunday Gospel, Bongo Fresh, Highlife Forever, Rumba Classics, Throwback 2000s,"
    " Workout Gqom, ሙዚቃ, ليالي القاهرة, Road Trip 🚌, Été Francophone"
).split(", ")
